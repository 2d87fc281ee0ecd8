//! Former spellings of flags, which stay accepted for some time.

/// Returns a warning about each flag of a command line that has a former spelling. Hidden aliases
/// of flags are former spellings.
pub fn deprecated<T: clap::CommandFactory>(words: &[String]) -> Vec<String> {
    let command = T::command();
    let aliases = command.get_arguments().filter_map(|argument| {
        let now = argument.get_long()?;
        let visible = argument.get_visible_aliases().unwrap_or_default();
        let mut all = argument.get_all_aliases().unwrap_or_default();
        all.retain(|it| !visible.contains(it));
        Some((now, all))
    });
    let aliases: Vec<_> = aliases.collect();
    let mut warnings = Vec::new();
    for word in words.iter().take_while(|it| *it != "--") {
        let name = word.strip_prefix("--").unwrap_or_default();
        let name = name.split('=').next().unwrap_or_default();
        let now = aliases.iter().find(|(_, all)| all.contains(&name));
        if let Some((now, _)) = now {
            let warning = warning(&format!("flag --{name}"), &format!("--{now}"));
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    warnings
}

/// Returns the warning about a former spelling.
#[must_use]
pub fn warning(former: &str, now: &str) -> String {
    format!("{former} is deprecated: use {now}")
}

#[cfg(test)]
mod tests {
    use super::deprecated;

    #[derive(clap::Parser)]
    struct Args {
        #[arg(long, alias = "old", visible_alias = "other", global = true)]
        new: Option<String>,
        #[arg(long)]
        plain: bool,
    }

    #[test]
    fn hidden_aliases_are_deprecated_and_others_are_not() {
        let of = |line: &str| {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            deprecated::<Args>(&words)
        };
        let expected = ["flag --old is deprecated: use --new"];
        assert_eq!(of("--old x --plain"), expected);
        assert_eq!(of("status --old=x --old=y"), expected);
        for line in ["--new old --other=x", "--plain old", "--plain -- --old=x"] {
            assert_eq!(of(line), [""; 0], "{line}");
        }
    }
}
