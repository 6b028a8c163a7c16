//! One file a verb.

mod bench;
mod boxes;
mod completions;
mod data;
mod decode;
mod doctor;
mod eval;
mod eval_filter;
mod eval_run;
mod expand;
mod generate;
mod language;
mod making;
mod measuring;
mod model;
mod prompt;
mod source;
mod storyboard;
mod train;
mod vbench;
mod verbs;
mod weights;

use crate::args::{Args, Boxes, Command, Data, Eval};
use crate::report::Outcome;

/// Does what was asked.
pub fn run(args: Args) -> Outcome {
    match args.command {
        Command::Generate(args) => generate::run(*args),
        Command::Expand(args) => expand::run(args),
        Command::Image(args) => verbs::image(*args),
        Command::Extend(args) => verbs::extend(*args),
        Command::Loop(args) => verbs::repeat(*args),
        Command::Connect(args) => verbs::connect(*args),
        Command::Blend(args) => verbs::blend(*args),
        Command::Remix(args) => verbs::remix(*args),
        Command::Decode(args) => decode::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Boxes(Boxes::Draw(args)) => boxes::draw(args),
        Command::Boxes(Boxes::Track(args)) => boxes::track(args),
        Command::Data(Data::Compose(args)) => data::compose(args),
        Command::Train(args) => train::run(args),
        Command::Eval(Eval::Mini(args)) => eval::mini(args),
        Command::Eval(Eval::Run(args)) => eval_run::run(args),
        Command::Eval(Eval::Filter(args)) => eval_filter::run(args),
        Command::Eval(Eval::Aggregate(args)) => vbench::aggregate(args),
        Command::Eval(Eval::Compare(args)) => vbench::compare(args),
        Command::Eval(Eval::Preflight(args)) => vbench::preflight(args),
        Command::Eval(Eval::Report(args)) => vbench::report(args),
        Command::Eval(Eval::Submission(args)) => vbench::submission(args),
        Command::Eval(Eval::Weights(args)) => weights::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Completions(args) => completions::completions(args),
        Command::Man => completions::man(),
    }
}
