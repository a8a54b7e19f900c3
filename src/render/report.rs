//! Reports as text. For now: JSON of the findings.

use crate::pipeline::Verdict;
use crate::report::Report;

/// For people.
pub fn human(report: &Report, _colour: bool, _verbose: bool) -> String {
    report
        .findings
        .iter()
        .map(|finding| format!("{}[{}] {} {}\n", finding.severity, finding.code, finding.path, finding.message))
        .collect()
}

/// As JSON.
pub fn json(report: &Report, _verdicts: &[Verdict]) -> String {
    serde_json::to_string_pretty(report).unwrap_or_default() + "\n"
}

/// As SARIF.
pub fn sarif(report: &Report) -> String {
    json(report, &[])
}

/// As annotations of GitHub's workflows.
pub fn github(report: &Report) -> String {
    human(report, false, false)
}
