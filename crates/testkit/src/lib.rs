//! How do tests compare numbers?
