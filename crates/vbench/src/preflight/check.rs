use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::names::Names;
use super::same::same_bytes;
use super::{Extra, Kind, Located, Missing, Preflight, PreflightOptions, SameName, Unusable, VideoFacts};
use crate::naming::composed;
use crate::{Dimension, Listing, SAMPLES, SuiteVideo, VbenchError};

/// Videos read at a time: of each the file is held, and a few frames.
const READERS_MAX: usize = 8;
/// AMT-S and RAFT look at an eighth and its eighths: at smaller sides than 128 the coarsest is a single pixel, and they divide by zero.
/// One pads to a multiple of 16 before, the other of 8.
fn side_min(dimension: Dimension) -> usize {
    match dimension {
        Dimension::MotionSmoothness => 113,
        Dimension::DynamicDegree => 121,
        _ => 1,
    }
}
/// Videos of this length and longer are for VBench-Long.
const LONG_SECS: f64 = 5.0;

/// Looks at a folder of videos. `read` is [`super::read_facts`]; `on_progress` gets how many videos of how many were read.
///
/// # Errors
/// If the folder cannot be listed. All else is in the answer.
pub fn preflight(
    folder: &Path,
    options: &PreflightOptions<'_>,
    read: &(dyn Fn(&Path) -> Result<VideoFacts, String> + Sync),
    on_progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Preflight, VbenchError> {
    let listing = Listing::read(folder)?;
    let videos = options.suite.videos(&options.dimensions, options.samples);
    let mut found = Preflight { expected: videos.len(), ..Preflight::default() };
    let mut taken: HashSet<usize> = HashSet::new();
    let mut missing: Vec<(&SuiteVideo, Vec<Dimension>)> = Vec::new();
    for video in &videos {
        locate(video, &listing, &mut found, &mut taken, &mut missing);
    }
    found.missing = name_missing(&missing, &listing, &taken);
    let missing: Vec<&SuiteVideo> = missing.iter().map(|(video, _)| *video).collect();
    name_extra(options, &missing, &listing, &taken, &mut found);
    let files: Vec<&Path> = listing
        .videos()
        .iter()
        .filter(|listed| !listed.is_folder() && listed.is_text())
        .map(|listed| listed.path.as_path())
        .collect();
    found.same_bytes = same_bytes(&files);
    let asked: HashSet<&Path> =
        found.located.iter().flat_map(|one| one.paths.values().map(PathBuf::as_path)).collect();
    // One video may lie in the folders of two sets of prompts; what no prompt asks for may be whatever it is.
    found.same_bytes.retain(|paths| {
        paths.iter().any(|path| path.file_stem() != paths[0].file_stem())
            && paths.iter().any(|path| asked.contains(path.as_path()))
    });
    if options.read {
        read_all(options, &mut found, read, on_progress);
    }
    judge(options, &mut found);
    Ok(found)
}

/// Finds a video's files.
fn locate<'a>(
    video: &'a SuiteVideo,
    listing: &Listing,
    found: &mut Preflight,
    taken: &mut HashSet<usize>,
    missing: &mut Vec<(&'a SuiteVideo, Vec<Dimension>)>,
) {
    let stem = video.stem();
    let mut paths = BTreeMap::new();
    let mut several: BTreeSet<Vec<usize>> = BTreeSet::new();
    let mut without = Vec::new();
    for &dimension in &video.dimensions {
        let coverage = found.dimensions.entry(dimension).or_default();
        coverage.expected += 1;
        let candidates = listing.candidates(&stem, dimension);
        match candidates.first() {
            None => without.push(dimension),
            Some(&first) => {
                coverage.found += 1;
                paths.insert(dimension, listing.videos()[first].path.clone());
                taken.extend(&candidates);
                if candidates.len() > 1 {
                    several.insert(candidates);
                }
            }
        }
    }
    for candidates in several {
        let paths = candidates.iter().map(|&index| listing.videos()[index].path.clone()).collect();
        found.same_name.push(SameName { name: format!("{stem}.mp4"), paths });
    }
    match without.is_empty() {
        true => found.found += 1,
        false => missing.push((video, without)),
    }
    if !paths.is_empty() {
        found.located.push(Located { video: video.clone(), paths });
    }
}

fn name_missing(
    missing: &[(&SuiteVideo, Vec<Dimension>)],
    listing: &Listing,
    taken: &HashSet<usize>,
) -> Vec<Missing> {
    let mut small: HashMap<String, usize> = HashMap::new();
    for (index, listed) in listing.videos().iter().enumerate().filter(|(index, _)| taken.contains(index)) {
        small.insert(composed(&listed.stem).to_lowercase(), index);
    }
    let name = |(video, dimensions): &(&SuiteVideo, Vec<Dimension>)| {
        let stem = video.stem();
        let hint = small.get(&composed(&stem).to_lowercase()).map(|&index| {
            let twin = &listing.videos()[index].stem;
            format!("`{twin}` differs from it in case alone; a file system that does not tell them apart keeps one")
        });
        Missing { name: format!("{stem}.mp4"), dimensions: dimensions.clone(), hint }
    };
    missing.iter().map(name).collect()
}

fn name_extra(
    options: &PreflightOptions<'_>,
    missing: &[&SuiteVideo],
    listing: &Listing,
    taken: &HashSet<usize>,
    found: &mut Preflight,
) {
    let mut names = Names::new(options.suite, missing);
    let flicker: HashSet<&str> =
        options.suite.entries_of(Dimension::TemporalFlickering).map(|entry| entry.prompt.as_str()).collect();
    let mut more_flicker = false;
    for (index, listed) in listing.videos().iter().enumerate() {
        if taken.contains(&index) {
            continue;
        }
        if listed.is_folder() {
            let reason = "it is a folder, of frames perhaps: a video is a file".to_owned();
            found.extra.push(Extra { path: listed.path.clone(), reason, meant: None });
            continue;
        }
        if !listed.is_text() {
            let reason = "its name is not UTF-8, and results cannot name it".to_owned();
            found.extra.push(Extra { path: listed.path.clone(), reason, meant: None });
            continue;
        }
        if names.is_of_suite(&listed.stem, options.samples) {
            match names.is_missing(&listed.stem) {
                true => found.extra.push(Extra {
                    path: listed.path.clone(),
                    reason: "it lies in the folder of other prompts".to_owned(),
                    meant: None,
                }),
                false => found.unasked += 1,
            }
            continue;
        }
        let verdict = names.judge(&listed.stem, options.samples);
        if verdict.is_sample && flicker.contains(crate::naming::split_stem(&listed.stem).0) {
            more_flicker = true;
            continue;
        }
        let ending = listed
            .path
            .extension()
            .map(|ending| format!(".{}", ending.to_string_lossy()))
            .unwrap_or_default();
        let meant = verdict.meant.map(|stem| format!("{stem}{ending}"));
        found.extra.push(Extra { path: listed.path.clone(), reason: verdict.reason, meant });
    }
    if options.dimensions.contains(&Dimension::TemporalFlickering) && !more_flicker && !flicker.is_empty() {
        found.notes.push(
            "`temporal_flickering` is measured on the first five videos of a prompt that do not move: VBench's authors make 25 or more of each, and there are no further samples"
                .to_owned(),
        );
    }
}

/// Reads every file once, several at a time.
fn read_all(
    options: &PreflightOptions<'_>,
    found: &mut Preflight,
    read: &(dyn Fn(&Path) -> Result<VideoFacts, String> + Sync),
    on_progress: &(dyn Fn(usize, usize) + Sync),
) {
    let mut wanted: BTreeMap<PathBuf, BTreeSet<Dimension>> = BTreeMap::new();
    for located in &found.located {
        for (&dimension, path) in &located.paths {
            wanted.entry(path.clone()).or_default().insert(dimension);
        }
    }
    let wanted: Vec<(PathBuf, BTreeSet<Dimension>)> = wanted.into_iter().collect();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let outcomes = Mutex::new(Vec::with_capacity(wanted.len()));
    let readers = thread::available_parallelism().map_or(1, usize::from).clamp(1, READERS_MAX);
    thread::scope(|scope| {
        for _ in 0..readers.min(wanted.len()) {
            scope.spawn(|| {
                while let Some((path, _)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = read(path);
                    outcomes
                        .lock()
                        .unwrap_or_else(|poisoned| poisoned.into_inner())
                        .push((path.clone(), outcome));
                    on_progress(done.fetch_add(1, Ordering::Relaxed) + 1, wanted.len());
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    outcomes.sort_by(|(a, _), (b, _)| a.cmp(b));
    for ((path, outcome), (_, dimensions)) in outcomes.into_iter().zip(&wanted) {
        match outcome {
            Err(reason) => found.unusable.push(Unusable { path, reason }),
            Ok(facts) => {
                if let Some(reason) = too_small(&facts, dimensions) {
                    found.unusable.push(Unusable { path, reason });
                }
                match found.kinds.iter_mut().find(|kind| kind.facts == facts) {
                    Some(kind) => kind.videos += 1,
                    None => found.kinds.push(Kind { facts, videos: 1 }),
                }
            }
        }
    }
    found.kinds.sort_by_key(|kind| std::cmp::Reverse(kind.videos));
    let is_long = |facts: &VideoFacts| facts.fps.is_some_and(|fps| facts.frames as f64 >= LONG_SECS * fps);
    let long = found.kinds.iter().filter(|kind| is_long(&kind.facts));
    let long: usize = long.map(|kind| kind.videos).sum();
    if long > 0 && !options.long {
        found
            .notes
            .push(format!("{long} videos are {LONG_SECS} s or longer: VBench-Long is for these, in clips"));
    }
    if found.kinds.len() > 1 {
        found
            .notes
            .push(format!("the videos are of {} different sizes, lengths or rates", found.kinds.len()));
    }
}

/// What a dimension cannot measure.
fn too_small(facts: &VideoFacts, dimensions: &BTreeSet<Dimension>) -> Option<String> {
    let frames_min = |dimension| match dimension {
        Dimension::MotionSmoothness => 3,
        Dimension::SubjectConsistency | Dimension::BackgroundConsistency => 2,
        Dimension::TemporalFlickering
        | Dimension::DynamicDegree
        | Dimension::I2vSubject
        | Dimension::I2vBackground => 2,
        _ => 1,
    };
    let side = facts.width.min(facts.height);
    for &dimension in dimensions {
        let frames = frames_min(dimension);
        if facts.frames < frames {
            return Some(format!(
                "it has too few frames: {}, and `{dimension}` needs {frames}",
                facts.frames
            ));
        }
        let least = side_min(dimension);
        if side < least {
            return Some(format!("its shorter side is {side} pixels, and `{dimension}` needs {least}"));
        }
    }
    None
}

fn judge(options: &PreflightOptions<'_>, found: &mut Preflight) {
    for &dimension in &options.dimensions {
        found.dimensions.entry(dimension).or_default();
    }
    let without = found.without_prompts();
    found.complete = found.missing.is_empty()
        && found.unusable.is_empty()
        && found.same_bytes.is_empty()
        && found.same_name.is_empty()
        && found.expected > 0
        && without.is_empty();
    if !without.is_empty() {
        found.notes.push(format!("the suite has no prompt for {}", without.join(", ")));
    }
    let mut because = Vec::new();
    if !options.suite.is_standard() {
        because.push("the suite is not VBench's own".to_owned());
    }
    let dimensions: BTreeSet<_> = options.dimensions.iter().collect();
    if dimensions.len() < Dimension::ALL.len() {
        because.push(format!("{} of {} dimensions were asked for", dimensions.len(), Dimension::ALL.len()));
    }
    if options.samples < SAMPLES {
        because.push(format!(
            "{} samples of each prompt were asked for, and VBench takes {SAMPLES}",
            options.samples
        ));
    }
    if options.long {
        because.push("VBench-Long measures clips".to_owned());
    }
    if !options.read {
        because.push("the videos were not read".to_owned());
    }
    found.standard = found.complete && because.is_empty();
    found.not_standard_because = because;
}
