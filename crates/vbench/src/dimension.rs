//! The sixteen things that VBench measures, three of VBench-I2V's, and what is fixed about each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::VbenchError;
use crate::nearest::nearest;

/// One of VBench's sixteen scores, in the order of its tables: seven of quality, then nine of semantics; and what is measured of
/// VBench-I2V's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Whether the subject looks the same in all frames.
    SubjectConsistency,
    /// Whether the background looks the same in all frames.
    BackgroundConsistency,
    /// Whether pixels that should rest do.
    TemporalFlickering,
    /// Whether every second frame lies between its neighbours.
    MotionSmoothness,
    /// Whether anything moves at all; counted half.
    DynamicDegree,
    /// How beautiful frames are to the LAION aesthetic predictor.
    AestheticQuality,
    /// How free of noise, blur and over-exposure frames are.
    ImagingQuality,
    /// Whether the object that was asked for is found.
    ObjectClass,
    /// Whether both objects that were asked for are found in one frame.
    MultipleObjects,
    /// Whether the action that was asked for is recognised.
    HumanAction,
    /// Whether the object has the colour that was asked for.
    Color,
    /// Whether two objects lie as was asked for.
    SpatialRelationship,
    /// Whether a caption of the frames names the scene.
    Scene,
    /// How near frames are to the words of a style.
    AppearanceStyle,
    /// How near the video is to a prompt that speaks of camera or speed.
    TemporalStyle,
    /// How near the video is to its prompt.
    OverallConsistency,
    /// VBench-I2V: whether the subject of the given picture is kept.
    I2vSubject,
    /// VBench-I2V: whether the camera moves as was asked for.
    CameraMotion,
    /// VBench-I2V: whether the background of the given picture is kept.
    I2vBackground,
}

/// Which half of the total a dimension counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Four fifths of the total.
    Quality,
    /// One fifth of the total.
    Semantic,
    /// Not in VBench's total but in VBench-I2V's.
    Given,
}

/// Which frames of a clip a dimension looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Every frame.
    All,
    /// About eight frames a second: every `max(1, round(fps / 8))`-th from the first.
    EightPerSecond,
    /// The middles of so many equal parts of the clip.
    Middle(usize),
}

/// Which decoder the reference reads a dimension's videos with. They differ in the colours of files tagged BT.709.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoder {
    /// OpenCV: BT.601 whatever the file says.
    OpenCv,
    /// decord: the matrix that the file names.
    Decord,
}

/// A network that a dimension needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// DINO ViT-B/16.
    Dino,
    /// CLIP ViT-B/32.
    #[serde(rename = "clip_b32")]
    ClipB32,
    /// CLIP ViT-L/14.
    #[serde(rename = "clip_l14")]
    ClipL14,
    /// LAION's linear head on CLIP ViT-L/14.
    Aesthetic,
    /// MUSIQ, trained on SPAQ.
    Musiq,
    /// AMT-S.
    AmtS,
    /// RAFT, trained on things.
    Raft,
    /// UMT ViT-L/16, fine-tuned on Kinetics-400.
    Umt,
    /// ViCLIP ViT-L/14.
    #[serde(rename = "viclip")]
    ViClip,
    /// GRiT-B with its two text decoders, object names and dense captions.
    Grit,
    /// Tag2Text, Swin-B.
    #[serde(rename = "tag2text")]
    Tag2Text,
    /// CoTracker2.
    #[serde(rename = "cotracker")]
    CoTracker,
    /// DreamSim's CLIP ViT-B/16. Its DINO is [`Self::Dino`].
    #[serde(rename = "dreamsim_clip")]
    DreamSimClip,
    /// DreamSim's OpenCLIP ViT-B/16.
    #[serde(rename = "dreamsim_open_clip")]
    DreamSimOpenClip,
    /// DreamSim's adapter of the three.
    #[serde(rename = "dreamsim_lora")]
    DreamSimLora,
    /// DINOv2 ViT-B/14.
    #[serde(rename = "dinov2")]
    DinoV2,
}

impl Network {
    /// Its name in files: `clip_b32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dino => "dino",
            Self::ClipB32 => "clip_b32",
            Self::ClipL14 => "clip_l14",
            Self::Aesthetic => "aesthetic",
            Self::Musiq => "musiq",
            Self::AmtS => "amt_s",
            Self::Raft => "raft",
            Self::Umt => "umt",
            Self::ViClip => "viclip",
            Self::Grit => "grit",
            Self::Tag2Text => "tag2text",
            Self::CoTracker => "cotracker",
            Self::DreamSimClip => "dreamsim_clip",
            Self::DreamSimOpenClip => "dreamsim_open_clip",
            Self::DreamSimLora => "dreamsim_lora",
            Self::DinoV2 => "dinov2",
        }
    }
}

/// What DreamSim is made of.
const DREAMSIM: [Network; 4] =
    [Network::Dino, Network::DreamSimClip, Network::DreamSimOpenClip, Network::DreamSimLora];

struct Facts {
    name: &'static str,
    min: f64,
    max: f64,
    weight: f64,
    group: Group,
    sampling: Sampling,
    decoder: Decoder,
    networks: &'static [Network],
    custom: bool,
    folder: &'static str,
    prompts: usize,
}

/// Bounds and weights: VBench's `scripts/constant.py`. In the order of [`Dimension`].
#[rustfmt::skip]
const FACTS: [Facts; 19] = {
    use Decoder::{Decord, OpenCv};
    use Group::{Given, Quality, Semantic};
    use Sampling::{All, EightPerSecond, Middle};
    const SUBJECT: &str = "subject_consistency";
    const OVERALL: &str = "overall_consistency";
    [
        Facts { name: SUBJECT, min: 0.1462, max: 1.0, weight: 1.0, group: Quality, sampling: All, decoder: Decord, networks: &[Network::Dino], custom: true, folder: SUBJECT, prompts: 72 },
        Facts { name: "background_consistency", min: 0.2615, max: 1.0, weight: 1.0, group: Quality, sampling: All, decoder: Decord, networks: &[Network::ClipB32], custom: true, folder: "scene", prompts: 86 },
        Facts { name: "temporal_flickering", min: 0.6293, max: 1.0, weight: 1.0, group: Quality, sampling: All, decoder: OpenCv, networks: &[], custom: true, folder: "temporal_flickering", prompts: 75 },
        Facts { name: "motion_smoothness", min: 0.7060, max: 0.9975, weight: 1.0, group: Quality, sampling: All, decoder: OpenCv, networks: &[Network::AmtS], custom: true, folder: SUBJECT, prompts: 72 },
        Facts { name: "dynamic_degree", min: 0.0, max: 1.0, weight: 0.5, group: Quality, sampling: EightPerSecond, decoder: OpenCv, networks: &[Network::Raft], custom: true, folder: SUBJECT, prompts: 72 },
        Facts { name: "aesthetic_quality", min: 0.0, max: 1.0, weight: 1.0, group: Quality, sampling: All, decoder: Decord, networks: &[Network::ClipL14, Network::Aesthetic], custom: true, folder: OVERALL, prompts: 93 },
        Facts { name: "imaging_quality", min: 0.0, max: 1.0, weight: 1.0, group: Quality, sampling: All, decoder: Decord, networks: &[Network::Musiq], custom: true, folder: OVERALL, prompts: 93 },
        Facts { name: "object_class", min: 0.0, max: 1.0, weight: 1.0, group: Semantic, sampling: Middle(16), decoder: Decord, networks: &[Network::Grit], custom: false, folder: "object_class", prompts: 79 },
        Facts { name: "multiple_objects", min: 0.0, max: 1.0, weight: 1.0, group: Semantic, sampling: Middle(16), decoder: Decord, networks: &[Network::Grit], custom: false, folder: "multiple_objects", prompts: 82 },
        Facts { name: "human_action", min: 0.0, max: 1.0, weight: 1.0, group: Semantic, sampling: Middle(16), decoder: Decord, networks: &[Network::Umt], custom: true, folder: "human_action", prompts: 100 },
        Facts { name: "color", min: 0.0, max: 1.0, weight: 1.0, group: Semantic, sampling: Middle(16), decoder: Decord, networks: &[Network::Grit], custom: false, folder: "color", prompts: 85 },
        Facts { name: "spatial_relationship", min: 0.0, max: 1.0, weight: 1.0, group: Semantic, sampling: Middle(16), decoder: Decord, networks: &[Network::Grit], custom: false, folder: "spatial_relationship", prompts: 84 },
        Facts { name: "scene", min: 0.0, max: 0.8222, weight: 1.0, group: Semantic, sampling: Middle(16), decoder: Decord, networks: &[Network::Tag2Text], custom: false, folder: "scene", prompts: 86 },
        Facts { name: "appearance_style", min: 0.0009, max: 0.2855, weight: 1.0, group: Semantic, sampling: All, decoder: Decord, networks: &[Network::ClipB32], custom: false, folder: "appearance_style", prompts: 90 },
        Facts { name: "temporal_style", min: 0.0, max: 0.3640, weight: 1.0, group: Semantic, sampling: Middle(8), decoder: Decord, networks: &[Network::ViClip], custom: true, folder: "temporal_style", prompts: 100 },
        Facts { name: OVERALL, min: 0.0, max: 0.3640, weight: 1.0, group: Semantic, sampling: Middle(8), decoder: Decord, networks: &[Network::ViClip], custom: true, folder: OVERALL, prompts: 93 },
        Facts { name: "i2v_subject", min: 0.1462, max: 1.0, weight: 1.0, group: Given, sampling: All, decoder: Decord, networks: &[Network::Dino], custom: true, folder: "i2v_subject", prompts: 0 },
        Facts { name: "camera_motion", min: 0.0, max: 1.0, weight: 0.1, group: Given, sampling: All, decoder: Decord, networks: &[Network::CoTracker], custom: true, folder: "camera_motion", prompts: 0 },
        Facts { name: "i2v_background", min: 0.2615, max: 1.0, weight: 1.0, group: Given, sampling: All, decoder: Decord, networks: &DREAMSIM, custom: true, folder: "i2v_background", prompts: 0 },
    ]
};

impl Dimension {
    /// VBench's sixteen, in the order of its tables.
    pub const ALL: [Self; 16] = [
        Self::SubjectConsistency,
        Self::BackgroundConsistency,
        Self::TemporalFlickering,
        Self::MotionSmoothness,
        Self::DynamicDegree,
        Self::AestheticQuality,
        Self::ImagingQuality,
        Self::ObjectClass,
        Self::MultipleObjects,
        Self::HumanAction,
        Self::Color,
        Self::SpatialRelationship,
        Self::Scene,
        Self::AppearanceStyle,
        Self::TemporalStyle,
        Self::OverallConsistency,
    ];

    /// What is measured of VBench-I2V's own.
    pub const GIVEN: [Self; 3] = [Self::I2vSubject, Self::CameraMotion, Self::I2vBackground];

    fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    /// Name in files: `motion_smoothness`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Name in tables: `motion smoothness`.
    pub fn title(self) -> String {
        self.name().replace('_', " ")
    }

    /// The raw score that counts as 0.
    pub fn min(self) -> f64 {
        self.facts().min
    }

    /// The raw score that counts as 1.
    pub fn max(self) -> f64 {
        self.facts().max
    }

    /// How much it counts within its group.
    pub fn weight(self) -> f64 {
        self.facts().weight
    }

    /// Which half of the total it counts in.
    pub fn group(self) -> Group {
        self.facts().group
    }

    /// Which frames it looks at.
    pub fn sampling(self) -> Sampling {
        self.facts().sampling
    }

    /// What the reference decodes its videos with.
    pub fn decoder(self) -> Decoder {
        self.facts().decoder
    }

    /// The networks it needs. `temporal_flickering` needs none itself, but RAFT to leave out videos that move.
    pub fn networks(self) -> &'static [Network] {
        self.facts().networks
    }

    /// Whether the reference measures it on videos of other prompts than the suite's, too. The others need to know
    /// what to look for.
    pub fn takes_custom_videos(self) -> bool {
        self.facts().custom
    }

    /// The folder that holds its videos where a suite is sampled into one folder a set of prompts.
    pub fn folder(self) -> &'static str {
        self.facts().folder
    }

    /// How many prompts of VBench's standard suite are made for it, counted with repetitions.
    pub fn prompts(self) -> usize {
        self.facts().prompts
    }

    /// Whether a video passes or fails, so that its score is a boolean.
    pub fn is_boolean(self) -> bool {
        matches!(self, Self::DynamicDegree | Self::HumanAction)
    }

    /// What a video's score is divided by to be on the scale of the overall score: 100 for `imaging_quality`, else 1.
    pub fn video_scale(self) -> f64 {
        if self == Self::ImagingQuality { 100.0 } else { 1.0 }
    }

    /// Whether a raw score can be below 0: cosines (of styles and of the prompt) and what a network fits without bounds. All others are
    /// shares, or cosines that are taken for 0 where they are below.
    pub fn may_be_negative(self) -> bool {
        matches!(
            self,
            Self::AestheticQuality
                | Self::ImagingQuality
                | Self::AppearanceStyle
                | Self::TemporalStyle
                | Self::OverallConsistency
        )
    }

    /// The raw score on the scale of [`Self::min`] and [`Self::max`], not clipped.
    pub fn normalise(self, raw: f64) -> f64 {
        (raw - self.min()) / (self.max() - self.min())
    }

    /// The seven of quality.
    pub fn quality() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|dimension| dimension.group() == Group::Quality)
    }

    /// What is measured of VBench-I2V by default, what is its own first.
    pub fn i2v() -> impl Iterator<Item = Self> {
        Self::GIVEN.into_iter().chain(Self::quality())
    }

    /// Seconds of the clips that VBench-Long measures it on.
    pub fn clip_secs(self) -> usize {
        match self {
            Self::HumanAction | Self::TemporalStyle | Self::OverallConsistency => 10,
            _ => 2,
        }
    }

    /// The networks that VBench-Long compares the clips of a video by; none of what it does not compare.
    pub fn networks_between(self) -> &'static [Network] {
        match self {
            Self::SubjectConsistency => &[Network::DinoV2],
            Self::BackgroundConsistency => &DREAMSIM,
            _ => &[],
        }
    }

    /// Whether it compares a video with the picture that this should begin with.
    pub fn needs_picture(self) -> bool {
        matches!(self, Self::I2vSubject | Self::I2vBackground)
    }

    /// The dimension of this name, with underscores or spaces.
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter().chain(Self::GIVEN);
        all.find(|dimension| dimension.name() == name || dimension.title() == name)
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Dimension {
    type Err = VbenchError;

    fn from_str(name: &str) -> Result<Self, VbenchError> {
        if let Some(dimension) = name.strip_suffix("_clip2clip").and_then(Self::from_name)
            && !dimension.networks_between().is_empty()
        {
            return Err(VbenchError::ClipToClip { dimension });
        }
        Self::from_name(name).ok_or_else(|| VbenchError::UnknownDimension {
            found: name.to_owned(),
            nearest: nearest(name, Self::ALL.iter().map(|dimension| dimension.name()))
                .unwrap_or("scene")
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_walk_both_ways() {
        for (index, dimension) in Dimension::ALL.into_iter().chain(Dimension::GIVEN).enumerate() {
            assert_eq!(dimension as usize, index);
            assert_eq!(serde_json::to_string(&dimension).unwrap(), format!("\"{}\"", dimension.name()));
            assert_eq!(dimension.name().parse::<Dimension>().unwrap(), dimension);
            assert_eq!(dimension.title().parse::<Dimension>().unwrap(), dimension);
        }
        let wrong = "motion_smothness".parse::<Dimension>().unwrap_err().to_string();
        assert!(
            wrong.contains("`motion_smothness`") && wrong.contains("did you mean `motion_smoothness`"),
            "{wrong}"
        );
        for (name, network) in [
            ("subject_consistency_clip2clip", "--clip-to-clip"),
            ("background_consistency_clip2clip", "--clip-to-clip"),
        ] {
            let lacking = name.parse::<Dimension>().unwrap_err().to_string();
            assert!(lacking.contains(name) && lacking.contains(network), "{lacking}");
        }
    }

    #[test]
    fn weights_sum_to_the_divisors_of_the_groups() {
        let sum =
            |group| -> f64 { Dimension::ALL.iter().filter(|d| d.group() == group).map(|d| d.weight()).sum() };
        assert_eq!((sum(Group::Quality), sum(Group::Semantic)), (6.5, 9.0));
    }

    #[test]
    fn bounds_are_where_normalised_scores_are_zero_and_one() {
        for dimension in Dimension::ALL {
            assert_eq!(dimension.normalise(dimension.min()), 0.0, "{dimension}");
            assert!((dimension.normalise(dimension.max()) - 1.0).abs() < 1e-12, "{dimension}");
        }
        // A raw zero is below the lowest bound: it takes away.
        assert!(Dimension::MotionSmoothness.normalise(0.0) < -2.4);
    }

    #[test]
    fn networks_have_one_name() {
        let all = Dimension::ALL.iter().chain(&Dimension::GIVEN);
        for network in all.flat_map(|of| of.networks().iter().chain(of.networks_between())) {
            assert_eq!(serde_json::to_string(network).unwrap(), format!("\"{}\"", network.name()));
        }
    }

    #[test]
    fn ten_dimensions_take_custom_videos() {
        assert_eq!(Dimension::ALL.iter().filter(|d| d.takes_custom_videos()).count(), 10);
    }
}
