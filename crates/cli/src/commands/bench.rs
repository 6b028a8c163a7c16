//! `vidit bench`

use anyhow::anyhow;
use vidit_bench::{
    Case, Measured, Peaks, TOKENS, kernels, measure, train_step, vae_decode, wan_block, wan_step,
};
use vidit_kernels::gemm::WeightFormat;
use vidit_kernels::{Isa, Precision, on_pool, thread_count};
use vidit_video::PixelShape;

use crate::ALLOCATOR;
use crate::args::{Bench, Dtype, Size, Suite};
use crate::report::{Failure, Outcome};
use crate::{output, settings};

/// Freed blocks that a bench keeps: the largest cases hold a few hundred MiB, and page faults are not what is measured.
const KEPT_BYTES_MAX: usize = 4 << 30;

pub fn run(args: Bench) -> Outcome {
    settings::apply(&args.compute)?;
    if let Some(name) = &args.isa {
        settings::force("--isa", name)?;
    }
    ALLOCATOR.set_kept_bytes_max(KEPT_BYTES_MAX);
    let dtype = match args.dtype {
        None => Precision::native().into(),
        Some(Dtype::F32) => WeightFormat::F32,
        Some(Dtype::Bf16) => WeightFormat::Bf16,
        Some(Dtype::TwoParts) => WeightFormat::TwoParts,
        Some(Dtype::Int8) => WeightFormat::Int8,
    };
    on_pool(|| measure_all(&args, dtype))
}

fn measure_all(args: &Bench, dtype: WeightFormat) -> Outcome {
    let cases = match args.suite {
        Suite::Kernels => kernels(dtype),
        Suite::WanBlock => tokens(args).into_iter().map(|tokens| wan_block(tokens, dtype)).collect(),
        Suite::WanStep => tokens(args).into_iter().map(|tokens| wan_step(tokens, dtype)).collect(),
        Suite::VaeDecode => {
            let Size { width, height } = args.size;
            let shape = PixelShape::new(args.frames, height, width);
            vec![vae_decode(shape, precision(dtype)?).map_err(Failure::usage)?]
        }
        Suite::TrainStep => train_step(precision(dtype)?),
    };
    let chosen = choose(cases, args.filter.as_deref())?;
    if args.list {
        let names: Vec<_> = chosen.iter().map(|case| case.name.as_str()).collect();
        return output::line(names.join("\n"));
    }
    let mut peaks = Peaks::default();
    if !args.json {
        output::line(heading(&mut peaks, dtype))?;
    }
    for case in chosen {
        let found = measure(case, args.runs as usize, &mut peaks, &ALLOCATOR);
        output::line(match args.json {
            true => serde_json::to_string(&found)?,
            false => row(&found),
        })?;
    }
    Ok(())
}

fn tokens(args: &Bench) -> Vec<usize> {
    let given = args.tokens.map(|tokens| vec![tokens as usize]);
    given.unwrap_or_else(|| TOKENS.to_vec())
}

/// For suites without linear layers in bytes.
fn precision(dtype: WeightFormat) -> Result<Precision, Failure> {
    dtype.precision().ok_or_else(|| {
        Failure::usage(anyhow!(
            "`--dtype int8` is for linear layers alone\nhint: `kernels`, `wan-block` and `wan-step` have it"
        ))
    })
}

fn choose(cases: Vec<Case>, filter: Option<&str>) -> Result<Vec<Case>, Failure> {
    let Some(filter) = filter else { return Ok(cases) };
    let names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
    let exact = names.iter().any(|name| name == filter);
    let fits = |case: &Case| if exact { case.name == filter } else { case.name.contains(filter) };
    let chosen: Vec<Case> = cases.into_iter().filter(fits).collect();
    if chosen.is_empty() {
        return Err(Failure::usage(anyhow!(
            "no case's name holds `{filter}`\nhint: there are {}",
            names.join(", ")
        )));
    }
    Ok(chosen)
}

fn heading(peaks: &mut Peaks, dtype: WeightFormat) -> String {
    let isa = Isa::current();
    let peak = peaks.get(isa, dtype) * 1e-9;
    format!(
        "{isa}, {} threads, {peak:.0} GFLOP/s on registers alone\n\n\
         | case | dtype | ms | GFLOP/s | of peak | MiB | new blocks |\n|---|---|---|---|---|---|---|",
        thread_count()
    )
}

fn row(found: &Measured) -> String {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.0}"));
    format!(
        "| {} | {} | {:.2} | {} | {} | {:.0} | {} |",
        found.name,
        found.dtype,
        found.seconds * 1e3,
        number(found.gflops),
        found.share_of_peak.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0)),
        found.bytes_peak as f64 / f64::from(1 << 20),
        found.blocks_taken
    )
}
