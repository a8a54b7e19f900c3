//! The tree of one platform to layers, config and manifest.

use super::error::BuildError;
use super::order::Order;
use super::stage::{Base, Staged};
use crate::bundle;
use crate::image::{self, Assembled, Layer, LayerPlan, LayerWriter, PlatformImage};
use crate::link::LAYERS_MAX;
use crate::oci::{Annotations, BASE_DIGEST, BASE_NAME, HistoryEntry};
use crate::path::ImagePath;
use crate::platform::Platform;
use crate::progress::{Action, Step};
use crate::tree::Tree;

/// A tree to layers, config and manifest.
pub(super) fn package(
    order: &Order<'_>,
    staged: &Staged,
    writer: &LayerWriter<'_>,
) -> Result<PlatformImage, BuildError> {
    let platform = &staged.platform;
    let Some(tree) = &staged.image else { return Err(BuildError::NoImage(platform.to_string())) };
    let base = staged.base.as_ref();
    let plans = plans(order, staged, tree);
    // An image without a base has a layer even if nothing is in it: a manifest without one is not valid.
    let lonely = base.is_none() && plans.iter().all(LayerPlan::is_empty);
    let mut layers: Vec<(Layer, HistoryEntry)> = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        if plan.is_empty() && !(lonely && number + 1 == plans.len()) {
            continue;
        }
        let name = order.recipe.layers.get(number).and_then(|rule| rule.name.clone()).unwrap_or_default();
        let known = Some(name.clone()).filter(|name| !name.is_empty());
        writer.progress.step(Step::new(Action::PackLayer(known)).of(platform).sized(plan.contents(tree)));
        let layer = writer.write(tree, plan, &known_as(order, platform, number))?;
        layers.push((layer, HistoryEntry { created: order.when, created_by: "sazare build".into(), comment: name }));
    }
    let mut annotations = base_annotations(base);
    annotations.extend(order.recipe.annotations.clone());
    let reasons = staged.bundled.as_ref().and_then(|bundled| bundle::recorded(&bundled.reasons));
    annotations.extend(reasons.map(|reasons| (bundle::REASONS.to_string(), reasons)));
    let assembled = Assembled {
        platform,
        base: base.map(|base| &base.image),
        layers,
        settings: &staged.settings,
        created: order.when,
        annotations: &annotations,
    };
    if let Some(base) = base {
        writer.progress.step(Step::new(Action::CopyBase).of(platform).sized(base.image.layers_size()));
    }
    Ok(image::assemble(assembled, base.map(|base| &*base.blobs), writer.store, writer.progress)?)
}

/// Which image of a registry the layers stand on (image-spec, annotations). Others can take its layers from there.
fn base_annotations(base: Option<&Base>) -> Annotations {
    let Some(reference) = base.and_then(|base| base.reference.as_ref()) else { return Annotations::new() };
    let tag = reference.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
    let name = (BASE_NAME.to_string(), format!("{}{tag}", reference.repository()));
    let digest = reference.digest().map(|digest| (BASE_DIGEST.to_string(), digest.to_string()));
    [name].into_iter().chain(digest).collect()
}

/// How many layers the image has at most.
pub(super) fn most(order: &Order<'_>, staged: &Staged) -> usize {
    let base = staged.base.as_ref();
    let below = base.map_or(0, |base| base.image.configuration.diff_ids().len());
    let most = below + order.recipe.layers.len() + 1;
    match &staged.image {
        // Which of them stay empty takes a walk through the tree.
        Some(tree) if most > LAYERS_MAX => {
            below + plans(order, staged, tree).iter().filter(|plan| !plan.is_empty()).count()
        }
        Some(_) | None => most,
    }
}

/// What goes into each layer.
fn plans(order: &Order<'_>, staged: &Staged, tree: &Tree) -> Vec<LayerPlan> {
    let matchers: Vec<_> = order.recipe.layers.iter().map(|rule| rule.matcher(&staged.platform)).collect();
    let takes: Vec<_> = matchers.iter().map(|matcher| |path: &ImagePath| matcher.takes(path)).collect();
    let rules: Vec<&dyn Fn(&ImagePath) -> bool> = takes.iter().map(|takes| takes as _).collect();
    image::plan_layers(tree, staged.base.as_ref().map(|base| &base.tree), &rules)
}

/// What a layer is known by to later builds: where it comes from, which platform it is for, and which of the layers it is.
fn known_as(order: &Order<'_>, platform: &Platform, number: usize) -> String {
    let mut name = format!("{platform} {number}");
    for source in &order.recipe.sources {
        let path = source.from.for_platform(platform);
        name += &format!("\n{}", std::path::absolute(&path).unwrap_or(path).display());
    }
    name
}
