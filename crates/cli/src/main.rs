//! The `vidit` binary.
fn main() {}
