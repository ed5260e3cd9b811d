//! The `taps` command; see [`taps::cli`].

fn main() -> std::process::ExitCode {
    taps::cli::main()
}
