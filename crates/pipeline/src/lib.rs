//! How is a video made?
