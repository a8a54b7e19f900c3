//! The result of a trial run, and of a look at the machine, as text.

use serde_json::{Value, json};

use super::text::Text;
use crate::trial::{Ended, Method, Refusal, TrialOutcome};

/// What one method gives on this machine, for one architecture.
#[derive(Clone, Debug)]
pub struct Ability {
    /// The method.
    pub method: Method,
    /// The platform whose programs were tried.
    pub platform: String,
    /// Why it cannot be used; `Ok` if a program really ran.
    pub result: Result<(), String>,
}

/// Something else that a verb needs of the machine.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// What, in words.
    pub what: &'static str,
    /// The verbs and flags that need it.
    pub verbs: &'static str,
    /// Why it is missing.
    pub result: Result<(), String>,
}

/// How a command ended, in words.
pub fn ended(ended: &Ended) -> String {
    match ended {
        Ended::Status(status) => format!("ended with status {status}"),
        Ended::Signal(signal) => format!("was killed by signal {signal}"),
        Ended::TimedOut => "exceeded its time limit and was killed, with all its processes".into(),
        Ended::TooManyProcesses => "had too many processes and was killed, with all of them".into(),
        Ended::NotStarted(words) => format!("could not be started: {words}"),
    }
}

/// A trial for people: the method that was used, and what it does not show.
pub fn human(outcome: &TrialOutcome) -> Text {
    let mut out = Text::new();
    for Refusal { method, reason } in &outcome.refused {
        out.line(format_args!("{method} not available: {reason}"));
    }
    let under = outcome.emulator.as_ref().map(|emulator| format!(", under {}", emulator.display()));
    out.line(format_args!("ran with {}{}", outcome.method, under.unwrap_or_default()));
    for line in outcome.not_shown() {
        out.line(format_args!("  not shown: {line}"));
    }
    out
}

/// A trial as JSON. `problems` says what was expected and did not come.
pub fn json(outcome: &TrialOutcome, problems: &[String]) -> String {
    let refused: Vec<Value> = outcome
        .refused
        .iter()
        .map(|refusal| json!({"method": refusal.method.word(), "reason": refusal.reason}))
        .collect();
    let document = json!({
        "method": outcome.method.word(),
        "emulator": outcome.emulator.as_ref().map(|path| path.display().to_string()),
        "ended": outcome.ended,
        "stdout": String::from_utf8_lossy(&outcome.output),
        "refused": refused,
        "not_shown": outcome.not_shown(),
        "notes": outcome.notes,
        "problems": problems,
    });
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// What a machine allows, for people.
pub fn doctor(abilities: &[Ability], needs: &[Requirement]) -> Text {
    let mut out =
        Text::of("sazare try uses the first available method; chroot and loader confine nothing and need --trust:");
    for ability in abilities {
        out.line(format_args!("  {:<14} {:<10} {}", ability.platform, ability.method.word(), verdict(&ability.result)));
    }
    out.line("");
    out.line("other verbs:");
    for need in needs {
        out.line(format_args!("  {:<42} {}: {}", need.verbs, need.what, verdict(&need.result)));
    }
    out
}

fn verdict(result: &Result<(), String>) -> String {
    match result {
        Ok(()) => "yes".into(),
        Err(reason) => format!("no: {reason}"),
    }
}

/// What a machine allows, as JSON.
pub fn doctor_json(abilities: &[Ability], needs: &[Requirement]) -> String {
    let row = |result: &Result<(), String>| (result.is_ok(), result.clone().err());
    let methods: Vec<Value> = abilities
        .iter()
        .map(|ability| {
            let (allowed, reason) = row(&ability.result);
            json!({"method": ability.method.word(), "platform": ability.platform, "allowed": allowed, "reason": reason})
        })
        .collect();
    let needs: Vec<Value> = needs
        .iter()
        .map(|need| {
            let (allowed, reason) = row(&need.result);
            json!({"what": need.what, "verbs": need.verbs, "allowed": allowed, "reason": reason})
        })
        .collect();
    serde_json::to_string_pretty(&json!({"methods": methods, "needs": needs})).unwrap_or_default() + "\n"
}
