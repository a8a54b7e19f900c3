//! `sazare generate schema` accepts valid recipes and refuses others.

use std::fs;

use crate::outside::{SAZARE, checkout, command, missing, must, run};

/// Validates TOML files against a schema with Python's jsonschema.
const JUDGE: &str = r#"
import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
kind = jsonschema.validators.validator_for(schema)
kind.check_schema(schema)
for name in sys.argv[2:]:
    kind(schema).validate(tomllib.load(open(name, "rb")))
"#;

#[test]
fn every_recipe_in_images_fits_the_schema_and_a_wrong_one_does_not() {
    if missing(&["/usr/bin/python3", "/usr/lib/python3/dist-packages/jsonschema"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("schema.json");
    fs::write(&schema, must(&mut command(SAZARE, ["generate", "schema"]))).unwrap();
    let judge = |files: &[std::path::PathBuf]| {
        run(command("/usr/bin/python3", ["-W", "ignore", "-c", JUDGE]).arg(&schema).args(files))
    };
    let images = checkout().join("images");
    let list = must(command("find", [&images]).args(["-name", "*.toml", "-not", "-path", "*/staged/*"]));
    let recipes: Vec<_> = list.lines().map(Into::into).collect();
    assert!(recipes.len() >= 6, "{recipes:?}");
    let answer = judge(&recipes);
    assert_eq!(answer.code, 0, "{}", answer.text());
    let wrong = folder.path().join("wrong.toml");
    for text in ["nme = \"x\"\n", "tags = 7\n", "[[path]]\npath = \"/a\"\ntype = \"dir\"\n"] {
        fs::write(&wrong, text).unwrap();
        assert_ne!(judge(std::slice::from_ref(&wrong)).code, 0, "{text}");
    }
}
