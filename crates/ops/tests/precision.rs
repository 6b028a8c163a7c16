//! The one setting of the process, in a process of its own.

use vidit_ops::{Precision, precision, set_precision};

#[test]
fn what_is_set_is_what_counts() {
    assert_eq!(precision(), Precision::native());
    for set in [Precision::TwoParts, Precision::F32, Precision::Bf16] {
        set_precision(set);
        assert_eq!(precision(), set);
    }
}
