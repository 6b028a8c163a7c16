//! Which networks?
