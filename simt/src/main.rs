//! The command line: `simt run` starts a program on the virtual GPU, `simt profile` shows what was
//! counted.

mod command;

use std::ffi::OsString;
use std::process::ExitCode;

const USAGE: &str = "\
usage: simt run [options] -- program arguments…
       simt profile FILE [--lines N]

simt run starts a program that finds the virtual GPU where it looks for libcuda.so.
  --arch ARCH        sm_80, sm_89, sm_90 or sm_90a
  --memory BYTES     of each device, also 8G
  --devices N        number of devices
  --threads N        host threads of a launch
  --timeout SECONDS  longest that a launch may run
  --profile FILE     counts of every launch, a line of JSON each; read it with simt profile
  --trace FILE       a trace of launches and copies, for Perfetto
  --check[=LIST]     checks, of memcheck,initcheck,racecheck,synccheck; all where none is named
  --check-file FILE  what they find, a line of JSON each
  --check-exit N     the exit code where they find something
  --log              names on stderr what is asked for and not supported

simt profile prints the records of such a file; of each the N hottest lines (default 10).
";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let result = match arguments.first().and_then(|a| a.to_str()) {
        Some("run") => command::run::run(&arguments[1..]),
        Some("profile") => command::profile::profile(&arguments[1..]),
        Some("--help" | "-h" | "help") => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some("--version" | "-V") => {
            println!("simt {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => Err(command::Error::Usage("expected run or profile".to_owned())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(command::Error::Usage(problem)) => {
            eprint!("simt: {problem}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(command::Error::Failed(problem, code)) => {
            eprintln!("simt: {problem}");
            ExitCode::from(code)
        }
    }
}
