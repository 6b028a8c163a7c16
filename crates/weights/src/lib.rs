//! Where do parameters come from?
