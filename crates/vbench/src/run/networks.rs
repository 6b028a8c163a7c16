//! Networks and their weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use vidit_backbones::clip::{self, AestheticHead, Clip, Tokenizer};
use vidit_backbones::dinov2::{self, DinoV2};
use vidit_backbones::dreamsim::{self, Adapter, AdapterConfig, DreamSim, Part};
use vidit_backbones::tag2text::{self, Tag2Text, TagList};
use vidit_backbones::{Vocabulary, amt, cotracker, dino, grit, musiq, raft, umt, viclip};
use vidit_weights::{TensorStore, TorchCheckpoint};

use super::{Measure, MeasureOptions};
use crate::checkpoints::{Checkpoint, Presence, Verdict};
use crate::dimensions::{
    AestheticQuality, AppearanceStyle, Batched, CameraMotion, Detections, DynamicDegree, HumanAction,
    ImagingQuality, MotionSmoothness, OverallConsistency, Scene, StaticFilter, TemporalFlickering,
    background_consistency, backgrounds_of_clips, i2v_background, i2v_subject, subject_consistency,
    subjects_of_clips,
};
use crate::hash::{sha256, sha256_of_file};
use crate::{Dimension, Network, VbenchError, WeightsOrigin, WeightsUsed};

/// The weights of some networks: files in one folder, or in folders of it as the reference keeps them.
pub struct WeightsFolder {
    folder: Option<PathBuf>,
    files: BTreeMap<Network, Found>,
}

struct Found {
    path: PathBuf,
    sha256: String,
    origin: WeightsOrigin,
}

impl Found {
    fn new(network: Network, path: PathBuf) -> Result<Self, VbenchError> {
        let sha256 = sha256_of_file(&path).map_err(|error| VbenchError::reading(&path, error))?;
        // What was converted names the file that it is from.
        let source = match is_safetensors(&path) {
            true => TensorStore::read_metadata(&path)?.remove("source_sha256"),
            false => None,
        };
        let origin = match Checkpoint::of(network).sha256.judge(source.as_ref().unwrap_or(&sha256)) {
            Verdict::Published => WeightsOrigin::Published,
            Verdict::Ends | Verdict::Unknown => WeightsOrigin::Unverified,
            Verdict::Other => WeightsOrigin::Other,
        };
        Ok(Self { path, sha256, origin })
    }
}

fn is_safetensors(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "safetensors")
}

impl WeightsFolder {
    /// Looks for the weights of all networks that `dimensions` need, and hashes them.
    ///
    /// # Errors
    /// Names every file that is missing and what it is called, if some are.
    pub fn open(folder: Option<&Path>, dimensions: &[Dimension]) -> Result<Self, VbenchError> {
        Self::of(folder, &networks_of(dimensions))
    }

    /// The same for some networks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(folder: Option<&Path>, networks: &[Network]) -> Result<Self, VbenchError> {
        let mut files = BTreeMap::new();
        let mut missing = Vec::new();
        for &network in networks {
            let found = folder.and_then(|folder| find(folder, network));
            match found {
                Some(path) => drop(files.insert(network, Found::new(network, path)?)),
                None => missing.push(network),
            }
        }
        match missing.is_empty() {
            true => Ok(Self { folder: folder.map(Path::to_owned), files }),
            false => Err(VbenchError::NoWeights { folder: folder.map(Path::to_owned), missing }),
        }
    }

    /// What the manifest says of them.
    pub fn used(&self) -> Vec<WeightsUsed> {
        let used = |(&network, found): (&Network, &Found)| WeightsUsed {
            network,
            file: found.path.file_name().map(|name| name.to_string_lossy().into_owned()),
            sha256: Some(found.sha256.clone()),
            origin: found.origin,
        };
        self.files.iter().map(used).collect()
    }

    /// The hashes that results of `dimensions` depend on.
    pub(super) fn hashes(&self, dimensions: &[Dimension]) -> Result<Hashes, VbenchError> {
        let mut hashes = BTreeMap::new();
        for &dimension in dimensions {
            hashes.insert(dimension, self.hashes_of(dimension.networks())?);
        }
        Ok(Hashes(hashes))
    }

    pub(super) fn hashes_of(&self, networks: &[Network]) -> Result<Vec<String>, VbenchError> {
        let mut hashes = Vec::new();
        for &network in networks {
            hashes.push(self.found(network)?.sha256.clone());
            if network == Network::DreamSimLora {
                hashes.push(sha256(&self.vocabulary(ADAPTER_CONFIG)?));
            }
        }
        Ok(hashes)
    }

    /// The hash of a network's weights.
    pub(super) fn hash(&self, network: Network) -> Result<&str, VbenchError> {
        Ok(&self.found(network)?.sha256)
    }

    fn found(&self, network: Network) -> Result<&Found, VbenchError> {
        self.files
            .get(&network)
            .ok_or_else(|| VbenchError::NoWeights { folder: None, missing: vec![network] })
    }

    /// A file of words that networks share, or of what else goes with weights, by its name among [`CHECKPOINTS`](crate::checkpoints::CHECKPOINTS).
    fn vocabulary(&self, name: &'static str) -> Result<Vec<u8>, VbenchError> {
        let words = Checkpoint::named(name).expect("it is in the table");
        match self.folder.as_deref().map(|folder| words.presence(folder)) {
            Some(Presence::Present { path, .. }) => {
                std::fs::read(&path).map_err(|error| VbenchError::reading(&path, error))
            }
            _ => Err(VbenchError::NoVocabulary { folder: self.folder.clone(), name, file: words.file }),
        }
    }

    /// The tensors of a network.
    fn store(&self, network: Network) -> Result<TensorStore, VbenchError> {
        self.store_some(network, |_| true)
    }

    /// Those that `wanted` knows by their keys.
    fn store_some(
        &self,
        network: Network,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<TensorStore, VbenchError> {
        let path = &self.found(network)?.path;
        Ok(match is_safetensors(path) {
            true => TensorStore::read_some(path, wanted)?,
            false => TorchCheckpoint::open(path)?.store_some(wanted)?,
        })
    }

    fn dreamsim(&self) -> Result<DreamSim, VbenchError> {
        let config = AdapterConfig::parse(&self.vocabulary(ADAPTER_CONFIG)?)?;
        let adapter = Adapter::new(self.store(Network::DreamSimLora)?, config);
        let weights = |part| {
            self.store(match part {
                Part::Dino => Network::Dino,
                Part::Clip => Network::DreamSimClip,
                Part::OpenClip => Network::DreamSimOpenClip,
            })
        };
        DreamSim::load(weights, adapter, dreamsim::Config::ENSEMBLE)
    }

    /// The tensors of a CLIP's image tower: its text tower is a third of a checkpoint.
    fn image_tower(&self, network: Network) -> Result<TensorStore, VbenchError> {
        self.store_some(network, |key| key.starts_with(clip::IMAGE))
    }
}

/// The name of the file that says how DreamSim's adapter is scaled.
const ADAPTER_CONFIG: &str = "dreamsim_lora_config";

/// Hashes of weights by dimension.
pub(super) struct Hashes(BTreeMap<Dimension, Vec<String>>);

impl Hashes {
    pub fn of(&self, dimension: Dimension) -> &[String] {
        self.0.get(&dimension).map_or(&[], Vec::as_slice)
    }
}

fn networks_of(dimensions: &[Dimension]) -> Vec<Network> {
    let mut networks: Vec<Network> =
        dimensions.iter().flat_map(|dimension| dimension.networks()).copied().collect();
    networks.sort();
    networks.dedup();
    networks
}

/// `<network>.safetensors`, the published file, or this converted; in the folder or where the reference keeps it.
fn find(folder: &Path, network: Network) -> Option<PathBuf> {
    let checkpoint = Checkpoint::of(network);
    let published = checkpoint.file;
    let stem = published.rsplit_once('.').map_or(published, |(stem, _)| stem);
    let own = [network.name(), stem].map(|stem| format!("{stem}.safetensors"));
    checkpoint.find(folder, &[&own[0], &own[1], published])
}

/// What tells whether a video stands still.
pub(super) fn static_filter(options: &MeasureOptions) -> Result<Box<dyn Measure>, VbenchError> {
    Ok(Box::new(StaticFilter::new(raft::Raft::load(options.weights.store(Network::Raft)?)?)))
}

/// What measures a dimension from clip to clip.
///
/// # Panics
/// If it is not measured so: a bug of the caller.
pub(super) fn between(
    dimension: Dimension,
    options: &MeasureOptions,
) -> Result<Box<dyn Measure>, VbenchError> {
    Ok(match dimension {
        Dimension::SubjectConsistency => {
            let network = DinoV2::load(options.weights.store(Network::DinoV2)?, dinov2::VIT_B_14)?;
            Box::new(subjects_of_clips(network))
        }
        Dimension::BackgroundConsistency => Box::new(backgrounds_of_clips(options.weights.dreamsim()?)),
        other => panic!("`{other}` is not measured from clip to clip"),
    })
}

/// What measures `dimensions`.
pub(super) fn measures(
    dimensions: &[Dimension],
    options: &MeasureOptions,
) -> Result<Vec<Box<dyn Measure>>, VbenchError> {
    let has = |dimension| dimensions.contains(&dimension);
    let store = |network| options.weights.store(network);
    let mut measures: Vec<Box<dyn Measure>> = Vec::new();
    if has(Dimension::TemporalFlickering) {
        measures.push(Box::new(TemporalFlickering::default()));
    }
    if has(Dimension::SubjectConsistency) || has(Dimension::I2vSubject) {
        let network = Rc::new(dino::Dino::load(store(Network::Dino)?, dino::Config::VIT_B_16)?);
        if has(Dimension::SubjectConsistency) {
            measures.push(Box::new(subject_consistency(Rc::clone(&network))));
        }
        if has(Dimension::I2vSubject) {
            measures.push(Box::new(i2v_subject(network, options.limits)));
        }
    }
    if has(Dimension::CameraMotion) {
        let network = cotracker::CoTracker::load(store(Network::CoTracker)?, cotracker::Config::PUBLISHED)?;
        measures.push(Box::new(CameraMotion::new(network)));
    }
    if has(Dimension::I2vBackground) {
        measures.push(Box::new(i2v_background(Rc::new(options.weights.dreamsim()?), options.limits)));
    }
    if has(Dimension::ImagingQuality) {
        let network = musiq::Musiq::load(store(Network::Musiq)?, musiq::Config::PUBLISHED)?;
        measures.push(Box::new(Batched::new(ImagingQuality::new(network))));
    }
    if has(Dimension::MotionSmoothness) {
        measures.push(Box::new(MotionSmoothness::new(amt::Amt::load(store(Network::AmtS)?)?)));
    }
    if has(Dimension::DynamicDegree) {
        measures.push(Box::new(DynamicDegree::new(raft::Raft::load(store(Network::Raft)?)?)));
    }
    if has(Dimension::AestheticQuality) {
        let network = Clip::load_image(options.weights.image_tower(Network::ClipL14)?, clip::Config::OPENAI)?;
        let head = AestheticHead::load(store(Network::Aesthetic)?)?;
        measures.push(Box::new(Batched::new(AestheticQuality::new(network, head))));
    }
    let videos = has(Dimension::TemporalStyle) || has(Dimension::OverallConsistency);
    let tokenizer = match videos || has(Dimension::AppearanceStyle) {
        true => Some(Rc::new(Tokenizer::new(&options.weights.vocabulary("clip_words")?)?)),
        false => None,
    };
    if let (true, Some(tokenizer)) = (has(Dimension::AppearanceStyle), &tokenizer) {
        let Clip { image, text, logit_scale } = Clip::load(store(Network::ClipB32)?, clip::Config::OPENAI)?;
        let images = Rc::new(image);
        if has(Dimension::BackgroundConsistency) {
            measures.push(Box::new(background_consistency(Rc::clone(&images))));
        }
        let style = AppearanceStyle::new(images, text, logit_scale, Rc::clone(tokenizer));
        measures.push(Box::new(Batched::new(style)));
    } else if has(Dimension::BackgroundConsistency) {
        let images = Clip::load_image(options.weights.image_tower(Network::ClipB32)?, clip::Config::OPENAI)?;
        measures.push(Box::new(background_consistency(Rc::new(images))));
    }
    if let (true, Some(tokenizer)) = (videos, tokenizer) {
        let network = viclip::ViClip::load(store(Network::ViClip)?, clip::Config::OPENAI)?;
        measures.push(Box::new(OverallConsistency::new(network, tokenizer)));
    }
    if has(Dimension::HumanAction) {
        let network = umt::Umt::load(store(Network::Umt)?, umt::Config::VIT_L_16)?;
        measures.push(Box::new(HumanAction::new(network)));
    }
    let detected = [
        Dimension::ObjectClass,
        Dimension::MultipleObjects,
        Dimension::Color,
        Dimension::SpatialRelationship,
    ];
    if detected.into_iter().any(has) {
        let vocabulary = options.weights.vocabulary("bert_words")?;
        let network = grit::Grit::load(store(Network::Grit)?, &vocabulary, grit::Config::B)?;
        measures.push(Box::new(Detections::new(network)));
    }
    if has(Dimension::Scene) {
        let vocabulary = Vocabulary::new(&options.weights.vocabulary("bert_words")?)?;
        let (tags, config) = (TagList::vbench(), tag2text::Config::VBENCH);
        let network = Tag2Text::load(store(Network::Tag2Text)?, vocabulary, tags, config)?;
        measures.push(Box::new(Scene::new(network)));
    }
    Ok(measures)
}
