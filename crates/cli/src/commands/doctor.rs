//! `vidit doctor`

use std::collections::BTreeMap;
use std::fmt::Write;
use std::thread;

use serde_json::{Value, json};
use vidit_kernels::{Isa, thread_count};
use vidit_pipeline::{Device, MINI, Model, built_devices};

use crate::args::Doctor;
use crate::machine::{self, Memory};
use crate::report::Outcome;
use crate::{output, settings};

pub fn run(args: Doctor) -> Outcome {
    settings::apply(&args.compute)?;
    let findings = Findings::collect()?;
    match args.json {
        true => output::line(findings.json().to_string()),
        false => output::print(findings.words()),
    }
}

struct Findings {
    cores: usize,
    threads: usize,
    isas: Vec<&'static str>,
    isa: &'static str,
    memory: Option<Memory>,
    devices: Vec<&'static str>,
    model: Option<Embedded>,
    ffmpeg: Option<String>,
}

struct Embedded {
    bytes: usize,
    parameters: usize,
    /// Entries of the file's metadata that fit on a line.
    metadata: Vec<(String, String)>,
}

/// Longer metadata, such as the vocabulary, is for programs.
const METADATA_BYTES_MAX: usize = 400;

impl Findings {
    fn collect() -> Result<Self, vidit_pipeline::Error> {
        let model = match Model::embedded_bytes() {
            None => None,
            Some(bytes) => {
                let model = Model::embedded(&Device::flex())?.with_embedded_boxes()?;
                let short = model.metadata().iter().filter(|(_, value)| value.len() <= METADATA_BYTES_MAX);
                let metadata = short.map(|(key, value)| (key.clone(), value.clone())).collect();
                Some(Embedded { bytes: bytes.len(), parameters: model.parameters(), metadata })
            }
        };
        Ok(Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            threads: thread_count(),
            isas: Isa::ALL.into_iter().filter(|isa| isa.is_supported()).map(Isa::name).collect(),
            isa: Isa::current().name(),
            memory: machine::memory(),
            devices: built_devices(),
            model,
            ffmpeg: machine::ffmpeg(),
        })
    }

    fn json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cores": self.cores,
            "threads": self.threads,
            "instruction_sets": self.isas,
            "instruction_set": self.isa,
            "memory_bytes": self.memory.map(|memory| memory.total),
            "memory_available_bytes": self.memory.map(|memory| memory.available),
            "devices": self.devices,
            "models": self.model.iter().map(|model| json!({
                "name": MINI,
                "bytes": model.bytes,
                "parameters": model.parameters,
                "metadata": model.metadata.iter().cloned().collect::<BTreeMap<_, _>>(),
            })).collect::<Vec<_>>(),
            "ffmpeg": self.ffmpeg,
        })
    }

    fn words(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<17} {value}");
        };
        row("version", env!("CARGO_PKG_VERSION").to_owned());
        row("cores", self.cores.to_string());
        row("threads", self.threads.to_string());
        row("instruction sets", format!("{} (in use: {})", self.isas.join(", "), self.isa));
        row(
            "memory",
            match self.memory {
                Some(memory) => {
                    format!("{:.1} GiB, {:.1} GiB of it free", gib(memory.total), gib(memory.available))
                }
                None => "unknown".to_owned(),
            },
        );
        row("devices", self.devices.join(", "));
        match &self.model {
            None => row("model", "none in this build".to_owned()),
            Some(model) => {
                let (parameters, mib) =
                    (model.parameters as f64 / 1e6, model.bytes as f64 / f64::from(1 << 20));
                row("model", format!("{MINI}, {parameters:.1} million parameters, {mib:.1} MiB"));
                for (key, value) in &model.metadata {
                    row("", format!("{key}: {value}"));
                }
            }
        }
        row(
            "ffmpeg",
            self.ffmpeg.clone().unwrap_or_else(|| "not found; only needed to read rare formats".to_owned()),
        );
        text
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / (1u64 << 30) as f64
}
