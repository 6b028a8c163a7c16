//! A page of one model's scores: no scripts, nothing fetched, readable in the dark.

mod clips;
mod facts;
mod markup;
mod radar;
mod spread;
mod tables;

#[cfg(test)]
mod tests;

pub use clips::{thumbnail, thumbnails_of};

use std::collections::BTreeMap;

use vidit_video::Frames;

use crate::{Dimension, Group, I2vTotals, Manifest, Mode, Published, Results, Totals, VbenchError};
use markup::escape;
use radar::{SERIES_MAX, Series};

/// What a page shows.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was measured: the model's name.
    pub title: String,
    /// Its scores.
    pub results: Results,
    /// Whose rules the videos were measured by.
    pub mode: Mode,
    /// Whose rules sums are made by: of [`Mode::Fixed`] those that lack a member are not given.
    pub sums: Mode,
    /// How the scores came about; `None` if that is not known.
    pub manifest: Option<Manifest>,
    /// Published rows to draw beside it: five at most are drawn.
    pub beside: Vec<&'static Published>,
    /// Small pictures by the paths of the results; the first frame of each is shown.
    pub thumbnails: BTreeMap<String, Frames>,
    /// What else the reader should know.
    pub warnings: Vec<String>,
}

impl Report {
    /// The page.
    ///
    /// # Errors
    /// If a thumbnail has no pixels.
    pub fn html(&self) -> Result<String, VbenchError> {
        let totals = Totals::new(&self.results.raw(), self.sums);
        let pictures = clips::Pictures::new(&self.thumbnails);
        let mut html =
            String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
        html += "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n";
        html += &format!("<title>{} – VBench</title>\n<style>\n", escape(&self.title));
        html += include_str!("style.css");
        html += &pictures.style(&self.thumbnails)?;
        html += "</style>\n</head>\n<body>\n<main>\n";
        html += &self.header(&totals);
        html += "<h2>Beside published rows</h2>\n";
        let series = self.series();
        html += "<div class=\"radar\">\n";
        html += &radar::radar(&series);
        html += "</div>\n";
        html += &radar::legend(&series);
        html += "<p class=\"soft\">Each spoke goes from the raw score that VBench counts as 0 to the one that it counts as 100; what lies beyond is drawn at the end. Numbers are raw scores. ";
        html += &format!("Published rows: {}.</p>\n", escape(crate::published_source()));
        html += &tables::scores(&self.results.raw(), &totals, &self.beside);
        html += "<h2>Dimensions</h2>\n";
        for (&dimension, result) in &self.results.dimensions {
            html += &clips::dimension(dimension, result, &pictures);
        }
        html += &tables::videos(&self.results, &pictures);
        html += &facts::manifest(self.manifest.as_ref());
        html += "</main>\n</body>\n</html>\n";
        Ok(html)
    }

    fn series(&self) -> Vec<Series> {
        let own = Series { name: self.title.clone(), raw: self.results.raw() };
        // A row with totals alone has nothing to draw.
        let beside = self.beside.iter().filter(|row| !row.dimensions.is_empty());
        let others = beside.map(|row| Series { name: format!("{} (published)", row.title), raw: row.raw() });
        std::iter::once(own).chain(others).take(SERIES_MAX).collect()
    }

    fn header(&self, totals: &Totals) -> String {
        let mut html = format!("<h1>{}</h1>\n", escape(&self.title));
        let of = |given| {
            let all = self.results.dimensions.keys().copied();
            all.filter(move |dimension| (dimension.group() == Group::Given) == given)
        };
        let own = of(false).count();
        let given: Vec<String> = of(true).map(Dimension::title).collect();
        let beside = match given.is_empty() {
            true => String::new(),
            false => format!(", {} of VBench-I2V", given.join(", ")),
        };
        html += &format!(
            "<p class=\"soft\">VBench, {own} of 16 dimensions{beside}, mode {}</p>\n",
            self.mode.name()
        );
        html += &facts::banners(self.manifest.as_ref(), totals);
        for warning in &self.warnings {
            html += &format!("<p class=\"banner\">{}</p>\n", escape(warning));
        }
        html += "<div class=\"points\">\n";
        let cards = [
            ("Total", totals.total, None),
            ("Quality", totals.quality, Some(Group::Quality)),
            ("Semantic", totals.semantic, Some(Group::Semantic)),
        ];
        let cards = cards.map(|(name, points, group)| (name, points, totals.missing_of(group)));
        // What begins with given pictures has sums of its own.
        let given = I2vTotals::of(&self.results.raw(), self.sums).map(|totals| {
            [
                ("VBench-I2V: total", totals.total, totals.missing_of(None)),
                ("VBench-I2V: given picture", totals.i2v, totals.missing_of(Some(true))),
                ("VBench-I2V: quality", totals.quality, totals.missing_of(Some(false))),
            ]
        });
        for (name, points, missing) in cards.into_iter().chain(given.into_iter().flatten()) {
            let (number, note) = match points {
                None => ("<b class=\"none\">not given</b>".to_owned(), format!("missing: {missing}")),
                Some(points) if !missing.is_empty() => (
                    format!("<b>{points:.2}</b>"),
                    format!("partial: missing scores count as raw 0: {missing}"),
                ),
                Some(points) => (format!("<b>{points:.2}</b>"), String::new()),
            };
            html += &format!("<div>{name}{number}<span>{}</span></div>\n", escape(&note));
        }
        html + "</div>\n"
    }
}
