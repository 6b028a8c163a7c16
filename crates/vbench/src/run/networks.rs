//! Networks and their weights.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use vidit_backbones::clip::{self, AestheticHead, Clip, ImageTower, Tokenizer};
use vidit_backbones::dinov2::{self, DinoV2};
use vidit_backbones::dreamsim::{self, Adapter, AdapterConfig, DreamSim, Part};
use vidit_backbones::tag2text::{self, Tag2Text, TagList};
use vidit_backbones::{BackboneError, Vocabulary, amt, cotracker, dino, grit, musiq, raft, umt, viclip};
use vidit_weights::{TensorStore, TorchCheckpoint};

use super::{Measure, MeasureOptions};
use crate::checkpoints::{Checkpoint, Presence, Verdict};
use crate::dimensions::{
    AestheticQuality, AppearanceStyle, Batched, CameraMotion, Detections, DynamicDegree, HumanAction,
    ImagingQuality, MotionSmoothness, PromptLikeness, Scene, StaticFilter, TemporalFlickering,
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
                hashes.push(sha256(&self.vocabulary(ADAPTER_CONFIG)?.bytes));
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
    fn vocabulary(&self, name: &'static str) -> Result<Words, VbenchError> {
        let words = Checkpoint::named(name).expect("it is in the table");
        match self.folder.as_deref().map(|folder| words.presence(folder)) {
            Some(Presence::Present { path, .. }) => match std::fs::read(&path) {
                Ok(bytes) => Ok(Words { path, bytes }),
                Err(error) => Err(VbenchError::reading(&path, error)),
            },
            _ => Err(VbenchError::NoVocabulary { folder: self.folder.clone(), name, file: words.file }),
        }
    }

    /// A network of its weights.
    fn load<T>(&self, network: Network, make: Make<T>) -> Result<T, VbenchError> {
        self.load_some(network, |_| true, make)
    }

    /// A network of those of a file's tensors that `wanted` knows by their keys.
    fn load_some<T>(
        &self,
        network: Network,
        wanted: impl Fn(&str) -> bool,
        make: Make<T>,
    ) -> Result<T, VbenchError> {
        make(self.store_some(network, wanted)?).map_err(of_files([&self.found(network)?.path]))
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
        let config = self.vocabulary(ADAPTER_CONFIG)?;
        let config = AdapterConfig::parse(&config.bytes).map_err(of_files([&config.path]))?;
        let adapter = Adapter::new(self.store(Network::DreamSimLora)?, config);
        let last = Cell::new(Network::Dino);
        let weights = |part| {
            last.set(match part {
                Part::Dino => Network::Dino,
                Part::Clip => Network::DreamSimClip,
                Part::OpenClip => Network::DreamSimOpenClip,
            });
            self.store(last.get())
        };
        DreamSim::load(weights, adapter, dreamsim::Config::ENSEMBLE).or_else(|error| match error {
            VbenchError::Backbone(source) => {
                let (network, adapter) = (self.found(last.get())?, self.found(Network::DreamSimLora)?);
                Err(of_files([&network.path, &adapter.path])(source))
            }
            other => Err(other),
        })
    }

    /// A CLIP's image tower: its text tower is a third of a checkpoint.
    fn image_tower(&self, network: Network) -> Result<ImageTower, VbenchError> {
        let is_image = |key: &str| key.starts_with(clip::IMAGE);
        self.load_some(network, is_image, |store| Clip::load_image(store, clip::Config::OPENAI))
    }
}

/// What makes a network of tensors.
type Make<T> = fn(TensorStore) -> Result<T, BackboneError>;

/// A vocabulary, or what else goes with weights.
struct Words {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// What is wrong, with the files named that hold it.
fn of_files<const N: usize>(files: [&PathBuf; N]) -> impl FnOnce(BackboneError) -> VbenchError {
    let files = files.map(PathBuf::clone).into();
    move |source| VbenchError::OtherWeights { files, source }
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
    Ok(Box::new(StaticFilter::new(options.weights.load(Network::Raft, raft::Raft::load)?)))
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
            let load = |store| DinoV2::load(store, dinov2::VIT_B_14);
            Box::new(subjects_of_clips(options.weights.load(Network::DinoV2, load)?))
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
    let weights = options.weights;
    let mut measures: Vec<Box<dyn Measure>> = Vec::new();
    if has(Dimension::TemporalFlickering) {
        measures.push(Box::new(TemporalFlickering::default()));
    }
    if has(Dimension::SubjectConsistency) || has(Dimension::I2vSubject) {
        let load = |store| dino::Dino::load(store, dino::Config::VIT_B_16);
        let network = Rc::new(weights.load(Network::Dino, load)?);
        if has(Dimension::SubjectConsistency) {
            measures.push(Box::new(subject_consistency(Rc::clone(&network))));
        }
        if has(Dimension::I2vSubject) {
            measures.push(Box::new(i2v_subject(network, options.limits)));
        }
    }
    if has(Dimension::CameraMotion) {
        let load = |store| cotracker::CoTracker::load(store, cotracker::Config::PUBLISHED);
        measures.push(Box::new(CameraMotion::new(weights.load(Network::CoTracker, load)?)));
    }
    if has(Dimension::I2vBackground) {
        measures.push(Box::new(i2v_background(Rc::new(weights.dreamsim()?), options.limits)));
    }
    if has(Dimension::ImagingQuality) {
        let load = |store| musiq::Musiq::load(store, musiq::Config::PUBLISHED);
        let network = weights.load(Network::Musiq, load)?;
        measures.push(Box::new(Batched::new(ImagingQuality::new(network, options.imaging))));
    }
    if has(Dimension::MotionSmoothness) {
        measures.push(Box::new(MotionSmoothness::new(weights.load(Network::AmtS, amt::Amt::load)?)));
    }
    if has(Dimension::DynamicDegree) {
        measures.push(Box::new(DynamicDegree::new(weights.load(Network::Raft, raft::Raft::load)?)));
    }
    if has(Dimension::AestheticQuality) {
        let network = weights.image_tower(Network::ClipL14)?;
        let head = weights.load(Network::Aesthetic, AestheticHead::load)?;
        measures.push(Box::new(Batched::new(AestheticQuality::new(network, head))));
    }
    let videos = has(Dimension::TemporalStyle) || has(Dimension::OverallConsistency);
    let tokenizer = match videos || has(Dimension::AppearanceStyle) {
        true => {
            let Words { path, bytes } = weights.vocabulary("clip_words")?;
            let tokenizer = Tokenizer::new(&bytes).map_err(|source| VbenchError::Text { path, source })?;
            Some(Rc::new(tokenizer))
        }
        false => None,
    };
    if let (true, Some(tokenizer)) = (has(Dimension::AppearanceStyle), &tokenizer) {
        let load = |store| Clip::load(store, clip::Config::OPENAI);
        let Clip { image, text, logit_scale } = weights.load(Network::ClipB32, load)?;
        let images = Rc::new(image);
        if has(Dimension::BackgroundConsistency) {
            measures.push(Box::new(background_consistency(Rc::clone(&images))));
        }
        let style = AppearanceStyle::new(images, text, logit_scale, Rc::clone(tokenizer));
        measures.push(Box::new(Batched::new(style)));
    } else if has(Dimension::BackgroundConsistency) {
        let images = weights.image_tower(Network::ClipB32)?;
        measures.push(Box::new(background_consistency(Rc::new(images))));
    }
    if let (true, Some(tokenizer)) = (videos, tokenizer) {
        let load = |store| viclip::ViClip::load(store, clip::Config::OPENAI);
        let network = weights.load(Network::ViClip, load)?;
        measures.push(Box::new(PromptLikeness::new(network, tokenizer)));
    }
    if has(Dimension::HumanAction) {
        let load = |store| umt::Umt::load(store, umt::Config::VIT_L_16);
        measures.push(Box::new(HumanAction::new(weights.load(Network::Umt, load)?)));
    }
    let detected = [
        Dimension::ObjectClass,
        Dimension::MultipleObjects,
        Dimension::Color,
        Dimension::SpatialRelationship,
    ];
    if detected.into_iter().any(has) {
        let words = weights.vocabulary("bert_words")?;
        let network = grit::Grit::load(weights.store(Network::Grit)?, &words.bytes, grit::Config::B)
            .map_err(of_files([&weights.found(Network::Grit)?.path, &words.path]))?;
        measures.push(Box::new(Detections::new(network)));
    }
    if has(Dimension::Scene) {
        let words = weights.vocabulary("bert_words")?;
        let vocabulary = Vocabulary::new(&words.bytes).map_err(of_files([&words.path]))?;
        let (tags, config) = (TagList::vbench(), tag2text::Config::VBENCH);
        let network = Tag2Text::load(weights.store(Network::Tag2Text)?, vocabulary, tags, config)
            .map_err(of_files([&weights.found(Network::Tag2Text)?.path, &words.path]))?;
        measures.push(Box::new(Scene::new(network)));
    }
    Ok(measures)
}
