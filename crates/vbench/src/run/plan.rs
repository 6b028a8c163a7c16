//! Which videos are measured for what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::json;
use vidit_media::{ReadLimits, read_picture};

use super::long::CLIP_SECS;
use crate::listing::ending;
use crate::naming::{check_text, composed, shown};
use crate::{
    Auxiliary, Dimension, Located, Network, Suite, VbenchError, full_info_json, split_stem, stem_of,
    video_stem,
};

/// A video, and what it is measured for.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The file.
    pub path: PathBuf,
    /// What the model was asked for: text that semantic dimensions compare the video with.
    pub prompt: String,
    /// What it is measured for.
    pub dimensions: Vec<Dimension>,
    /// What a dimension looks for in it.
    pub auxiliary: BTreeMap<Dimension, Auxiliary>,
    /// The picture that it should begin with, for VBench-I2V.
    pub picture: Option<PathBuf>,
    /// Seconds of the clips that it is cut into, for VBench-Long.
    pub cut: Option<usize>,
}

impl Task {
    /// The picture, if a dimension looks at it.
    pub fn picture_of(&self, dimension: Dimension) -> Option<&Path> {
        self.picture.as_deref().filter(|_| dimension.needs_picture())
    }
}

/// Videos in the order in which they are measured and listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// One entry a file.
    pub tasks: Vec<Task>,
    /// By dimension, the place of each task among its results, where that is another than among the tasks: a prompt that stands twice in
    /// a suite is measured once, and each of its dimensions lists it where the suite names it for that.
    pub places: BTreeMap<Dimension, Vec<usize>>,
    /// The text of the reference's `…_full_info.json`.
    pub full_info: String,
    /// Whether clips of long videos are compared with each other, too.
    pub between: bool,
    /// Whether long videos are cut into scenes first.
    pub scenes: bool,
    /// What lies beside the videos and is not measured.
    pub passed_over: Beside,
    /// All prompts that videos were looked for of, also those without any; empty if every video was taken.
    pub prompts: Vec<String>,
}

/// Why a file is not measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PassedOver {
    /// Its ending is none of a video.
    Other,
    /// It is a folder, though called as a video.
    Folder,
    /// It is a single picture, and motion is looked for.
    Picture,
    /// It is called after no prompt.
    Stranger,
}

impl PassedOver {
    fn told(self, count: usize) -> String {
        let (one, many) = match self {
            Self::Other => ("file that is no video was", "files that are no videos were"),
            Self::Folder => {
                ("folder that is called as a video was", "folders that are called as videos were")
            }
            Self::Picture => ("single picture was", "single pictures were"),
            Self::Stranger => {
                ("video that is called after no prompt was", "videos that are called after no prompt were")
            }
        };
        format!("{count} {} passed over", if count == 1 { one } else { many })
    }
}

impl Plan {
    /// The videos of a suite, as [`preflight`](crate::preflight()) found them. A file that serves several dimensions is one task.
    pub fn of_suite(suite: &Suite, dimensions: &[Dimension], located: &[Located]) -> Self {
        let mut tasks: Vec<Task> = Vec::new();
        let mut place: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for Located { video, paths } in located {
            for (&dimension, path) in paths {
                let at = *place.entry(path.clone()).or_insert_with(|| {
                    tasks.push(Task {
                        path: path.clone(),
                        prompt: video.prompt.clone(),
                        dimensions: Vec::new(),
                        auxiliary: BTreeMap::new(),
                        picture: None,
                        cut: None,
                    });
                    tasks.len() - 1
                });
                let task = &mut tasks[at];
                if !task.dimensions.contains(&dimension) {
                    task.dimensions.push(dimension);
                    let told = suite
                        .entries_of(dimension)
                        .find(|entry| entry.prompt == video.prompt)
                        .and_then(|entry| entry.auxiliary.get(&dimension));
                    task.auxiliary.extend(told.map(|told| (dimension, told.clone())));
                }
            }
        }
        let places = dimensions.iter().map(|&dimension| (dimension, places(suite, dimension, &tasks)));
        let places = places.collect();
        Self { tasks, places, full_info: full_info_json(suite, dimensions, located), ..Self::default() }
    }

    /// The place of a task's results among those of a dimension; equal ones stay in the order of the tasks.
    pub(super) fn place(&self, dimension: Dimension, task: usize) -> usize {
        self.places.get(&dimension).and_then(|places| places.get(task)).copied().unwrap_or(task)
    }

    /// Videos of one's own: a file, or those in a folder by name. The prompt of each is `prompts[its file name]`, or, without a file of
    /// these, the only one of `prompt`, or its name.
    ///
    /// # Errors
    /// If the folder cannot be read or holds no videos, a video's path is no UTF-8, or a dimension needs to know what to look for.
    pub fn custom(
        videos: &Path,
        dimensions: &[Dimension],
        prompt: Option<&str>,
        prompts: Option<&BTreeMap<String, String>>,
    ) -> Result<Self, VbenchError> {
        if let Some(dimension) = dimensions.iter().find(|dimension| !dimension.takes_custom_videos()) {
            return Err(VbenchError::NotForCustom { dimension: *dimension });
        }
        let (paths, passed_over) = match videos.is_dir() {
            false => (vec![videos.to_owned()], BTreeMap::new()),
            true => listed(videos)?,
        };
        if paths.is_empty() {
            return Err(VbenchError::NoVideos { path: videos.to_owned() });
        }
        paths.iter().try_for_each(|path| check_text(path))?;
        let prompts = prompts.map(|prompts| by_name(videos, prompts));
        let mut tasks = Vec::with_capacity(paths.len());
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let own = || split_stem(stem_of(&name)).0.to_owned();
            let prompt = match &prompts {
                Some(prompts) => match prompts.get(&name) {
                    Some(prompt) => prompt.clone(),
                    None => return Err(VbenchError::NoPrompt { path }),
                },
                None => prompt.map_or_else(own, str::to_owned),
            };
            let (dimensions, auxiliary) = (dimensions.to_vec(), BTreeMap::new());
            tasks.push(Task { path, prompt, dimensions, auxiliary, picture: None, cut: None });
        }
        let full_info = custom_info(&tasks);
        Ok(Self { tasks, full_info, passed_over, ..Self::default() })
    }

    /// Takes for prompts what the reference takes for those of long videos of one's own: their names with the numbers of samples, `a cat-0`,
    /// as far as a `-Scene`, after which it counts scenes.
    pub fn take_whole_names(&mut self) {
        for task in &mut self.tasks {
            let name = task.path.file_name().unwrap_or_default().to_string_lossy();
            task.prompt = stem_of(&name).split("-Scene").next().unwrap_or_default().to_owned();
        }
        self.full_info = custom_info(&self.tasks);
    }

    /// All videos of a folder that are called after these prompts, or all by their names if `prompts` is `None`: any number of each.
    /// Single pictures are left out: nothing can move in them.
    ///
    /// # Errors
    /// If the folder cannot be read or holds no such video, or a video's path is no UTF-8.
    pub fn called_after(
        videos: &Path,
        dimension: Dimension,
        prompts: Option<&[&str]>,
    ) -> Result<Self, VbenchError> {
        // Names as they are on any file system, to prompts as they were written.
        let name_of = |prompt: &str| composed(split_stem(&video_stem(prompt, 0)).0);
        let known: Option<BTreeMap<String, &str>> =
            prompts.map(|prompts| prompts.iter().map(|&prompt| (name_of(prompt), prompt)).collect());
        let mut tasks = Vec::new();
        let (all, mut passed_over) = listed(videos)?;
        let (pictures, all): (Vec<PathBuf>, _) =
            all.into_iter().partition(|path| ending(path) == Some("png"));
        if !pictures.is_empty() {
            passed_over.insert(PassedOver::Picture, pictures);
        }
        let some = !all.is_empty();
        for path in all {
            check_text(&path)?;
            let name = composed(split_stem(stem_of(&path.display().to_string())).0);
            let prompt = match &known {
                None => Some(name.clone()),
                Some(known) => known.get(&name).map(|prompt| (*prompt).to_owned()),
            };
            let Some(prompt) = prompt else {
                passed_over.entry(PassedOver::Stranger).or_default().push(path);
                continue;
            };
            let (dimensions, auxiliary) = (vec![dimension], BTreeMap::new());
            tasks.push(Task { path, prompt, dimensions, auxiliary, picture: None, cut: None });
        }
        let prompts = prompts.unwrap_or_default().iter().map(|&prompt| prompt.to_owned()).collect();
        match (tasks.is_empty(), some) {
            (true, true) => Err(VbenchError::NoneOfSuite { path: videos.to_owned(), dimension }),
            (true, false) => Err(VbenchError::NoVideos { path: videos.to_owned() }),
            (false, _) => Ok(Self { tasks, passed_over, prompts, ..Self::default() }),
        }
    }

    /// What was passed over, in a line a reason.
    pub fn told_passed_over(&self) -> impl Iterator<Item = String> {
        self.passed_over
            .iter()
            .map(|(why, paths)| format!("{}, the first is `{}`", why.told(paths.len()), shown(&paths[0])))
    }

    /// Says which picture each video should begin with: the only one of `pictures`, or of a folder the one that `name_of` a task names.
    ///
    /// Whether they are there, [`Self::check_pictures`] says.
    pub fn begin_with(&mut self, pictures: &Path, name_of: &dyn Fn(&Task) -> Option<String>) {
        for task in &mut self.tasks {
            task.picture = match pictures.is_dir() {
                true => name_of(task).map(|name| pictures.join(name)),
                false => Some(pictures.to_owned()),
            };
        }
    }

    /// Reads every picture that some dimension looks at, once.
    ///
    /// # Errors
    /// If one is not known, not there or cannot be used.
    pub fn check_pictures(&self, limits: &ReadLimits) -> Result<(), VbenchError> {
        let compares = |task: &&Task| task.dimensions.iter().any(|dimension| dimension.needs_picture());
        let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
        for task in self.tasks.iter().filter(compares) {
            match &task.picture {
                None => {
                    wrong.push(format!("nothing says which one `{}` should begin with", shown(&task.path)))
                }
                Some(picture) if !seen.insert(picture) => {}
                Some(picture) => {
                    let told = read_picture(picture, limits).err().map(|error| error.to_string());
                    wrong.extend(told.map(|text| text.lines().next().unwrap_or_default().to_owned()));
                }
            }
        }
        match wrong.first() {
            None => Ok(()),
            Some(first) => Err(VbenchError::Pictures { count: wrong.len(), first: first.clone() }),
        }
    }

    /// Says that every video is cut into clips: as long as the longest that a dimension of its prompt in `suite` asks for, whether or not
    /// that is measured, or of two seconds.
    pub fn cut(&mut self, suite: Option<&Suite>) {
        for task in &mut self.tasks {
            let entries = suite.into_iter().flat_map(|suite| &suite.entries);
            let own = entries.filter(|entry| entry.prompt == task.prompt);
            let secs = own.flat_map(|entry| &entry.dimensions).map(|dimension| dimension.clip_secs()).max();
            task.cut = Some(secs.unwrap_or(CLIP_SECS));
        }
    }

    /// The networks that its dimensions need.
    pub fn networks(&self) -> Vec<Network> {
        let dimensions = self.dimensions();
        let within = dimensions.iter().flat_map(|dimension| dimension.networks());
        let between = dimensions.iter().filter(|_| self.between).flat_map(|of| of.networks_between());
        let mut networks: Vec<Network> = within.chain(between).copied().collect();
        networks.sort();
        networks.dedup();
        networks
    }

    /// All dimensions that some video is measured for.
    pub fn dimensions(&self) -> Vec<Dimension> {
        let wanted =
            |dimension: &Dimension| self.tasks.iter().any(|task| task.dimensions.contains(dimension));
        Dimension::ALL.into_iter().chain(Dimension::GIVEN).filter(wanted).collect()
    }
}

/// The reference's `…_full_info.json` of videos of one's own.
fn custom_info(tasks: &[Task]) -> String {
    let lines: Vec<_> = tasks
        .iter()
        .map(
            |task| json!({"prompt_en": task.prompt, "dimension": task.dimensions, "video_list": [task.path]}),
        )
        .collect();
    serde_json::to_string_pretty(&lines).expect("paths of videos are UTF-8")
}

/// Where in a suite a dimension asks for each task's prompt first.
fn places(suite: &Suite, dimension: Dimension, tasks: &[Task]) -> Vec<usize> {
    let mut first: HashMap<String, usize> = HashMap::new();
    for (place, entry) in suite.entries_of(dimension).enumerate() {
        first.entry(composed(&entry.prompt)).or_insert(place);
    }
    tasks.iter().map(|task| first.get(&composed(&task.prompt)).copied().unwrap_or(usize::MAX)).collect()
}

/// Files by why they are passed over.
pub type Beside = BTreeMap<PassedOver, Vec<PathBuf>>;

/// The videos of a folder by name, and what lies beside them. Hidden files are neither, nor are folders of other names.
fn listed(folder: &Path) -> Result<(Vec<PathBuf>, Beside), VbenchError> {
    let failed = |error| VbenchError::reading(folder, error);
    let (mut videos, mut passed_over) = (Vec::new(), Beside::new());
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        match (ending(&path).is_some(), path.is_dir()) {
            _ if hidden => {}
            (true, false) => videos.push(path),
            (true, true) => passed_over.entry(PassedOver::Folder).or_default().push(path),
            (false, false) => passed_over.entry(PassedOver::Other).or_default().push(path),
            (false, true) => {}
        }
    }
    videos.sort();
    passed_over.values_mut().for_each(|paths| paths.sort());
    Ok((videos, passed_over))
}

/// Prompts by the names of their files: those that are told by a path within the folder, or from the root, too.
fn by_name(videos: &Path, prompts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let folder = if videos.is_dir() { videos } else { videos.parent().unwrap_or(Path::new("")) };
    let whole =
        |path: &Path| std::path::absolute(path).ok().map(|path| path.components().collect::<PathBuf>());
    let here = whole(&folder.join("."));
    let named = prompts.iter().map(|(told, prompt)| {
        let path = folder.join(told);
        let is_here = here.is_some() && path.parent().and_then(whole) == here;
        let name = path.file_name().filter(|_| is_here).map(|name| name.to_string_lossy().into_owned());
        (name.unwrap_or_else(|| told.clone()), prompt.clone())
    });
    named.collect()
}
