//! `xl top`: runs `xentop`, with the arguments that follow.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::context::Context;
use crate::failure::Failure;

/// For xentop.
#[derive(clap::Args, Debug)]
pub struct Arguments {
    /// As xentop has them.
    #[arg(
        value_name = "Arguments",
        allow_hyphen_values = true,
        trailing_var_arg = true
    )]
    arguments: Vec<String>,
}

impl Arguments {
    /// Becomes xentop.
    pub fn run(&self, context: &Context) -> anyhow::Result<()> {
        context.output.flush();
        const JSON: &str = "--json";
        let is_said = self.arguments.iter().any(|word| word == JSON);
        let json = (context.json() && !is_said).then_some(JSON);
        let error = Command::new(program())
            .args(&self.arguments)
            .args(json)
            .exec();
        // What a shell says when there is no such program.
        let code = if error.kind() == std::io::ErrorKind::NotFound {
            127
        } else {
            126
        };
        Err(anyhow::Error::new(error).context(Failure::with_code(code, "xl: can not run xentop")))
    }
}

/// The xentop beside this program, or the one in the path.
fn program() -> std::path::PathBuf {
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name("xentop"));
    beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| "xentop".into())
}
