//! Completion scripts, man pages and the reference page, all made of the same flags.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use crate::args::{Arguments, Shell};

/// Prints a completion script.
pub(crate) fn completion(shell: Shell) -> anyhow::Result<ExitCode> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "heliograph", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == clap_complete::Shell::Bash {
        script.push_str(LIVE);
    }
    crate::output::write(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Proposes names of the cluster before flags. The program prints only words without a meaning to
/// the shell, which `compgen -W` would expand.
const LIVE: &str = r#"
_heliograph_live() {
    local found
    if found=$("${COMP_WORDS[0]}" candidates -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null); then
        mapfile -t COMPREPLY < <(compgen -W "$found" -- "${COMP_WORDS[COMP_CWORD]}")
    else
        _heliograph "$@"
    fi
}
complete -F _heliograph_live -o bashdefault -o default heliograph
"#;

/// Writes a man page for the command and for each subcommand.
pub(crate) fn man(directory: &Path) -> anyhow::Result<ExitCode> {
    let pages = clap_mangen::generate_to(Arguments::command(), directory);
    pages.with_context(|| format!("cannot write man pages to {}", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The reference of all subcommands, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut command = Arguments::command().term_width(90);
    command.build();
    let mut text = String::new();
    describe(&command, "", &mut text);
    text
}

/// Adds the subcommands of a command, and theirs.
fn describe(command: &clap::Command, before: &str, text: &mut String) {
    let subs = command.get_subcommands();
    for sub in subs.filter(|it| it.get_name() != "help" && !it.is_hide_set()) {
        let mut sub = sub.clone().term_width(90);
        let name = format!("{before}{}", sub.get_name());
        let help = sub.render_long_help().to_string();
        let help: Vec<_> = help.lines().map(str::trim_end).collect();
        let help = help.join("\n");
        let _ = write!(text, "### {name}\n\n```\n{}\n```\n\n", help.trim());
        describe(&sub, &format!("{name} "), text);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{man, reference};

    #[test]
    fn the_reference_page_is_that_of_the_flags() {
        const BEGIN: &str =
            "<!-- made of the flags: UPDATE=1 cargo test -p heliograph --lib -->\n\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (head, _) = page
            .split_once(BEGIN)
            .expect("the page says where the reference begins");
        let wanted = format!("{head}{BEGIN}{}", reference());
        let wanted = format!("{}\n", wanted.trim_end());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, wanted).unwrap();
        } else {
            assert_eq!(page, wanted, "docs/cli.md is old: run with UPDATE=1");
        }
    }

    #[test]
    fn every_subcommand_has_a_man_page() {
        let directory = std::env::temp_dir().join(format!("heliograph-man-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        man(&directory).unwrap();
        let page = std::fs::read_to_string(directory.join("heliograph-status.1")).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(page.contains("heliograph"), "{page}");
    }
}
