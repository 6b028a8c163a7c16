//! Networks and their weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vidit_backbones::{dino, grit, musiq};
use vidit_weights::TensorStore;

use super::hash::sha256_of_file;
use super::{Measure, MeasureOptions};
use crate::dimensions::{Detections, ImagingQuality, SubjectConsistency, TemporalFlickering};
use crate::{Dimension, Network, VbenchError, WeightsOrigin, WeightsUsed};

/// The weights of some networks: files in one folder, or in folders of it as the reference keeps them.
pub struct WeightsFolder {
    folder: Option<PathBuf>,
    files: BTreeMap<Network, Found>,
}

struct Found {
    path: PathBuf,
    sha256: String,
}

impl WeightsFolder {
    /// Looks for the weights of all networks that `dimensions` need, and hashes them.
    ///
    /// # Errors
    /// Names every file that is missing and what it is called, if some are.
    pub fn open(folder: Option<&Path>, dimensions: &[Dimension]) -> Result<Self, VbenchError> {
        let mut files = BTreeMap::new();
        let mut missing = Vec::new();
        for network in networks_of(dimensions) {
            let found = folder.and_then(|folder| find(folder, network));
            match found {
                Some(path) => {
                    let sha256 = sha256_of_file(&path).map_err(|error| VbenchError::reading(&path, error))?;
                    files.insert(network, Found { path, sha256 });
                }
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
            origin: WeightsOrigin::Other,
        };
        self.files.iter().map(used).collect()
    }

    /// The hashes that results of `dimensions` depend on.
    pub(super) fn hashes(&self, dimensions: &[Dimension]) -> Result<Hashes, VbenchError> {
        let mut hashes = BTreeMap::new();
        for &dimension in dimensions {
            let of = dimension.networks().iter().map(|network| Ok(self.found(*network)?.sha256.clone()));
            hashes.insert(dimension, of.collect::<Result<Vec<_>, VbenchError>>()?);
        }
        Ok(Hashes(hashes))
    }

    fn found(&self, network: Network) -> Result<&Found, VbenchError> {
        self.files
            .get(&network)
            .ok_or_else(|| VbenchError::NoWeights { folder: None, missing: vec![network] })
    }

    /// A file of words that networks share.
    fn vocabulary(&self, name: &'static str) -> Result<Vec<u8>, VbenchError> {
        let path = self.folder.as_ref().map(|folder| folder.join(name));
        match path.filter(|path| path.is_file()) {
            Some(path) => std::fs::read(&path).map_err(|error| VbenchError::reading(&path, error)),
            None => Err(VbenchError::NoVocabulary { folder: self.folder.clone(), name }),
        }
    }

    /// The tensors of a network.
    fn store(&self, network: Network) -> Result<TensorStore, VbenchError> {
        Ok(TensorStore::read(&self.found(network)?.path)?)
    }
}

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

/// `<network>.safetensors`, or a file with the published stem.
fn find(folder: &Path, network: Network) -> Option<PathBuf> {
    let name = format!("{}.safetensors", network.name());
    Some(folder.join(name)).filter(|path| path.is_file())
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
    if has(Dimension::SubjectConsistency) {
        let network = dino::Dino::load(store(Network::Dino)?, dino::Config::VIT_B_16)?;
        measures.push(Box::new(SubjectConsistency::new(network)));
    }
    if has(Dimension::ImagingQuality) {
        let network = musiq::Musiq::load(store(Network::Musiq)?, musiq::Config::PUBLISHED)?;
        measures.push(Box::new(ImagingQuality::new(network)));
    }
    let detected = [
        Dimension::ObjectClass,
        Dimension::MultipleObjects,
        Dimension::Color,
        Dimension::SpatialRelationship,
    ];
    if detected.into_iter().any(has) {
        let vocabulary = options.weights.vocabulary("vocab.txt")?;
        let network = grit::Grit::load(store(Network::Grit)?, &vocabulary, grit::Config::B)?;
        measures.push(Box::new(Detections::new(network)));
    }
    Ok(measures)
}
