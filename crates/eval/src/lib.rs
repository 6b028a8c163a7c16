//! How good is it?
