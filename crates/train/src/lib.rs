//! How does it learn?
