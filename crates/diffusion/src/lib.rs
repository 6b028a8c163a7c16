//! How does noise become data?
