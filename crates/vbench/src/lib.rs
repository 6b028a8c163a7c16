//! How does a model score on VBench? The sixteen dimensions and two of VBench-I2V, the suite, the total, the report.

pub mod checkpoints;
mod compare;
mod dimension;
pub mod dimensions;
mod error;
mod full_info;
mod gif_facts;
#[cfg(test)]
mod golden;
mod hash;
mod i2v;
mod listing;
mod manifest;
mod naming;
mod nearest;
pub mod pixels;
mod preflight;
mod published;
mod report;
mod results;
pub mod run;
pub mod samplers;
mod scenes;
mod source;
mod submission;
mod suite;
mod total;
pub mod transforms;

pub use compare::{Column, Comparison, Row};
pub use dimension::{Decoder, Dimension, Group, Network, Sampling};
pub use error::VbenchError;
pub use full_info::full_info_json;
pub use hash::sha256_of_file;
pub use i2v::{I2V_MEMBERS, I2vMember, I2vTotals};
pub use listing::{Listing, is_video};
pub use manifest::{Manifest, WeightsOrigin, WeightsUsed};
pub use naming::{NAME_BYTES_MAX, split_stem, stem_of, video_stem};
pub use preflight::{
    Coverage, Extra, Kind, Located, Missing, Preflight, PreflightOptions, SameName, Unusable, VideoFacts,
    preflight, read_facts,
};
pub use published::{Published, published, published_row, published_source};
pub use report::{Report, thumbnail, thumbnails_of};
pub use results::{DimensionResult, Problem, Results, ResultsFile, Score, VideoResult, parse_results};
pub use source::{Loaded, load_results};
pub use submission::{Submission, submission};
pub use suite::{Auxiliary, Entry, Relation, SAMPLES, STANDARD_JSON, Suite, SuiteVideo};
pub use total::{Mode, Totals};
pub use vidit_backbones::layers::{multiply_in_two_parts, products};
