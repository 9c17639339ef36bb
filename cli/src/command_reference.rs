//! docs/commands.md: every command and every setting, generated from clap's definitions.

use std::{env, fs, path::Path};

use clap::{Arg, Command, CommandFactory as _, Id};

use crate::CommandLine;

const INTRODUCTION: &str = "# Commands and settings

What `--help` prints for the command line `fairline` and for each service, in one page. The subcommands of a command accept its options,
too. An option with a name in capitals may be given as that environment variable instead; the option wins.

Generated from the programs' definitions: change the comments there, and run `make generate`.
";

/// A text of `--help` as a cell of a table, or a paragraph.
fn sentences(text: impl ToString) -> String {
    let text = text.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    format!("{}.", line.trim_end_matches('.'))
}

fn default(arg: &Arg) -> String {
    let values: Vec<String> = arg.get_default_values().iter().map(|value| value.display().to_string()).collect();
    match values.join(",").as_str() {
        _ if arg.is_required_set() => "required".to_owned(),
        "" => "–".to_owned(),
        _ if !arg.get_action().takes_values() => "–".to_owned(),
        value => format!("`{value}`"),
    }
}

fn row(arg: &Arg) -> String {
    let name = arg.to_string().replace('|', "\\|");
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let variable = arg.get_env().map(|name| format!("<br>`{}`", name.display())).unwrap_or_default();
    let help = arg.get_long_help().or(arg.get_help()).map(sentences).unwrap_or_default();
    let possible = arg.get_possible_values();
    let values: Vec<String> = possible
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| match value.get_help() {
            Some(help) => format!("`{}` ({})", value.get_name(), sentences(help).trim_end_matches('.')),
            None => format!("`{}`", value.get_name()),
        })
        .collect();
    let values = if values.is_empty() { String::new() } else { format!(" Values: {}.", values.join(", ")) };
    format!("| {short}`{name}`{variable} | {} | {help}{values} |\n", default(arg))
}

/// The section of a command, and those of its subcommands. They accept the arguments `above`, too.
fn sections(command: &Command, above: &[Id]) -> String {
    let name = |command: &Command| command.get_bin_name().unwrap_or(command.get_name()).to_owned();
    let about = |command: &Command| command.get_long_about().or(command.get_about()).map(sentences).unwrap_or_default();
    let subcommands: Vec<&Command> =
        command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help").collect();
    let rows: String = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str()))
        .filter(|arg| !above.contains(arg.get_id()))
        .map(row)
        .collect();
    let usage = command.clone().render_usage();
    let level = if name(command).contains(' ') { "###" } else { "##" };
    let mut text = format!("\n{level} {}\n\n{}\n", name(command), about(command));
    text += &format!("\n```text\n{usage}\n```\n");
    if !subcommands.is_empty() {
        text += "\n| command | what it does |\n|---|---|\n";
        for subcommand in &subcommands {
            let name = name(subcommand);
            text += &format!("| [`{name}`](#{}) | {} |\n", name.replace(' ', "-"), about(subcommand));
        }
    }
    if !rows.is_empty() {
        text += &format!("\n| option | default | meaning |\n|---|---|---|\n{rows}");
    }
    let inherited = command.get_arguments().filter(|arg| arg.is_global_set()).map(|arg| arg.get_id().clone());
    let inherited: Vec<Id> = above.iter().cloned().chain(inherited).collect();
    text + &subcommands.into_iter().map(|subcommand| sections(subcommand, &inherited)).collect::<String>()
}

fn document() -> String {
    let programs = [
        CommandLine::command(),
        waiting_room::Settings::command(),
        admission_controller::Settings::command(),
        checkout::Settings::command(),
    ];
    let text = programs.map(|mut program| {
        program.build();
        sections(&program, &[])
    });
    INTRODUCTION.to_owned() + &text.concat()
}

#[test]
fn commands_md_is_up_to_date() {
    let (path, generated) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md"), document());
    if env::var_os("FAIRLINE_REGENERATE").is_some() {
        fs::write(&path, &generated).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "docs/commands.md is stale: `make generate` renews it");
}
