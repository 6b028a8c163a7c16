//! MP4 (ISO/IEC 14496-12 and -15): one H.264 track in, one H.264 track out.

pub(crate) mod demux;
pub(crate) mod mux;

#[cfg(test)]
mod tests;
