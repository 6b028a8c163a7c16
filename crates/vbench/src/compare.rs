//! Models side by side.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::naming::printable;
use crate::{Dimension, I2vTotals, Mode, Published, Totals};

/// One model's scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// What it is called.
    pub name: String,
    /// Whether it was published by others, and not measured here.
    pub published: bool,
    /// Dimensions that are missing; with them a total compares with none of a whole suite.
    pub missing: Vec<Dimension>,
    /// Total, quality, semantics in points, where they are given.
    #[serde(skip)]
    points: [Option<f64>; 3],
    /// The same of VBench-I2V: total, of the given picture, quality.
    #[serde(skip)]
    i2v: [Option<f64>; 3],
    #[serde(skip)]
    raw: BTreeMap<Dimension, f64>,
}

impl Column {
    /// What was measured.
    pub fn measured(name: impl Into<String>, raw: BTreeMap<Dimension, f64>, mode: Mode) -> Self {
        let totals = Totals::new(&raw, mode);
        let points = [totals.total, totals.quality, totals.semantic];
        let i2v = I2vTotals::of(&raw, mode).map_or([None; 3], |of| [of.total, of.i2v, of.quality]);
        Self { name: name.into(), published: false, missing: totals.missing, points, i2v, raw }
    }

    /// What others published, totals as printed.
    pub fn published(row: &Published) -> Self {
        let missing = Dimension::ALL.into_iter().filter(|dimension| !row.dimensions.contains_key(dimension));
        Self {
            name: row.name.clone(),
            published: true,
            missing: missing.collect(),
            points: [row.total, row.quality, row.semantic],
            i2v: [None; 3],
            raw: row.raw(),
        }
    }
}

/// One score of all models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// `total`, `quality`, `semantic`, `i2v_total`, `i2v_given`, `i2v_quality`, or the name of a dimension.
    pub name: String,
    /// In points of 100; dimensions as raw scores in percent.
    pub values: Vec<Option<f64>>,
    /// How much more than the first model's.
    pub differences: Vec<Option<f64>>,
    /// Places of the best, all of them if several are as good; none if only one model has the score.
    pub best: Vec<usize>,
}

/// A table of models.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The models.
    pub columns: Vec<Column>,
    /// The three totals, then the sixteen dimensions, then of VBench-I2V those sums and dimensions that some model has.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Models in the order given.
    pub fn new(columns: Vec<Column>) -> Self {
        let row = |name: &str, value: &dyn Fn(&Column) -> Option<f64>| {
            let values: Vec<Option<f64>> = columns.iter().map(value).collect();
            let first = values.first().copied().flatten();
            let known = values.iter().flatten().count();
            let highest = values.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
            Row {
                name: name.to_owned(),
                differences: values.iter().map(|&value| Some(value? - first?)).collect(),
                best: (0..values.len()).filter(|&i| known > 1 && values[i] == Some(highest)).collect(),
                values,
            }
        };
        let totals = ["total", "quality", "semantic"];
        let mut rows: Vec<Row> = totals
            .iter()
            .enumerate()
            .map(|(index, name)| row(name, &|column| column.points[index]))
            .collect();
        rows.extend(
            Dimension::ALL
                .map(|dimension| row(dimension.name(), &|column| Some(100.0 * *column.raw.get(&dimension)?))),
        );
        let sums = ["i2v_total", "i2v_given", "i2v_quality"].into_iter().enumerate();
        let sums = sums.map(|(index, name)| row(name, &|column| column.i2v[index]));
        let given = Dimension::GIVEN
            .map(|dimension| row(dimension.name(), &|column| Some(100.0 * *column.raw.get(&dimension)?)));
        rows.extend(sums.chain(given).filter(|row| row.values.iter().any(Option::is_some)));
        Self { columns, rows }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |row: &Row, index: usize| {
            let Some(value) = row.values[index] else { return "–".to_owned() };
            let best = if row.best.contains(&index) { "*" } else { " " };
            match row.differences[index].filter(|_| index > 0) {
                Some(difference) => format!("{value:.2}{best} {difference:>+7.2}"),
                None if index > 0 => format!("{value:.2}{best} {:7}", ""),
                None => format!("{value:.2}{best}"),
            }
        };
        let names: Vec<String> = self.columns.iter().map(|column| printable(&column.name)).collect();
        let width = |index: usize| {
            let cells = self.rows.iter().map(|row| cell(row, index).chars().count());
            cells.max().unwrap_or(0).max(names[index].chars().count())
        };
        let widths: Vec<usize> = (0..names.len()).map(width).collect();
        write!(f, "{:22}", "")?;
        for (name, width) in names.iter().zip(&widths) {
            write!(f, "  {name:>width$}")?;
        }
        writeln!(f)?;
        for (at, row) in self.rows.iter().enumerate() {
            if at == 3 || at == 3 + Dimension::ALL.len() {
                writeln!(f)?;
            }
            write!(f, "{:22}", row.name.replace('_', " "))?;
            for (index, width) in widths.iter().enumerate() {
                write!(f, "  {:>width$}", cell(row, index))?;
            }
            writeln!(f)?;
        }
        for (column, name) in self.columns.iter().zip(&names).filter(|(column, _)| !column.missing.is_empty())
        {
            let missing: Vec<&str> = column.missing.iter().map(|dimension| dimension.name()).collect();
            writeln!(f, "{name} lacks {}", missing.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published_row;

    #[test]
    fn what_is_of_vbench_i2v_comes_last_where_a_model_has_it() {
        let raw = [(Dimension::ImagingQuality, 0.5), (Dimension::I2vSubject, 0.75)].into();
        let columns = vec![
            Column::published(published_row("sora").unwrap()),
            Column::measured("mine", raw, Mode::Fixed),
        ];
        let table = Comparison::new(columns.clone());
        let names: Vec<&str> = table.rows[19..].iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["i2v_subject"]);
        assert_eq!(table.rows[19].values, [None, Some(75.0)]);
        let raw = crate::I2V_MEMBERS.map(|member| (member.name.parse().unwrap(), member.max)).into();
        let whole = Comparison::new(vec![columns[0].clone(), Column::measured("whole", raw, Mode::Fixed)]);
        let total = whole.rows.iter().find(|row| row.name == "i2v_total").unwrap();
        assert!((total.values[1].unwrap() - 100.0).abs() < 1e-9, "{total:?}");
        assert!(whole.to_string().contains("i2v total"), "{whole}");
    }

    #[test]
    fn the_best_and_the_differences_are_marked() {
        let sora = published_row("sora").unwrap();
        let mut raw = sora.raw();
        raw.insert(Dimension::Color, 0.9);
        raw.remove(&Dimension::Scene);
        let columns = vec![Column::published(sora), Column::measured("mine", raw, Mode::Fixed)];
        let table = Comparison::new(columns);
        let row = |name: &str| table.rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!(table.rows.len(), 19);
        assert_eq!(row("total").values, [Some(84.28), None]);
        assert!(row("total").best.is_empty());
        let colour = row("color");
        assert_eq!(colour.best, [1]);
        assert!((colour.differences[1].unwrap() - 9.89).abs() < 1e-9);
        assert_eq!(row("temporal_style").best, [0, 1]);
        assert_eq!(row("scene").values[1], None);
        assert_eq!(table.columns[1].missing, [Dimension::Scene]);
        let text = table.to_string();
        assert!(text.contains("mine lacks scene"), "{text}");
        assert!(text.contains("90.00*   +9.89"), "{text}");
        let lines: Vec<usize> =
            text.lines().filter(|line| line.contains('.')).map(|line| line.chars().count()).collect();
        assert!(lines.iter().all(|&length| length == lines[0]), "columns are aligned:\n{text}");
    }
}
