//! Flags of subcommands beside what a predecessor brings.

use std::time::Duration;

use super::{Command, SEMAPHORE, file, parsed};

#[test]
fn flags_of_a_command_are_its_own_beside_a_replaced_programs_variables() {
    let file = file(SEMAPHORE);
    let variable = ("SSM_CONFIG", file.path().to_str().unwrap());
    for variables in [&[][..], &[variable]] {
        let words = ["status", "--wait", "5s", "--exit-code", "-o", "json"];
        let Some(Command::Status {
            wait, exit_code, ..
        }) = parsed(&words, variables).command
        else {
            panic!("{variables:?}");
        };
        assert_eq!(wait, Some(Duration::from_secs(5)), "{variables:?}");
        assert!(exit_code, "{variables:?}");
    }
}
