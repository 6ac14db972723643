//! Recipes: the bundled ones, and what is said about wrong ones.

use lrem::ops::grpo::{Average, Ratio};
use lrem::recipe::{
    Baseline, Contents, Recipe, RewardKind, Rewriter, RlOptions, Stage, Study, Variant,
};
use std::path::Path;

fn message(text: &str) -> String {
    let error = Recipe::parse(Path::new("r.toml"), text).unwrap_err();
    error.to_string()
}

#[test]
fn the_bundled_recipes_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut stages = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let recipe = Recipe::read(&path).unwrap();
        let text = toml::to_string(&recipe).unwrap();
        assert_eq!(
            Recipe::parse(&path, &text).unwrap(),
            recipe,
            "written and read again"
        );
        assert_eq!(recipe.cold_start().rl, None);
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        stages.push((name, recipe.rl.is_some()));
    }
    stages.sort();
    let want = [
        ("direct", false),
        ("direct-bidirectional", false),
        ("direct-last4", false),
        ("direct-latent", false),
        ("direct-mean", false),
        ("encoder", false),
        ("paper", true),
        ("shop", true),
        ("shop-cold", false),
    ];
    assert_eq!(stages, want.map(|(name, rl)| (name.to_string(), rl)));
}

#[test]
fn what_the_reinforcement_stage_is_compared_with_is_its_own_cold_start() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let [shop, cold] =
        ["shop.toml", "shop-cold.toml"].map(|name| Recipe::read(&root.join(name)).unwrap());
    let cut = Recipe { rl: None, ..shop };
    assert_eq!(
        toml::to_string(&cut).unwrap(),
        toml::to_string(&cold).unwrap()
    );
}

#[test]
fn the_bundled_studies_name_recipes_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut methods = 0;
    for entry in std::fs::read_dir(root.join("recipes/studies")).unwrap() {
        let study = Study::read(&entry.unwrap().path()).unwrap();
        for (recipe, _) in study.models() {
            Recipe::read(&root.join(recipe)).unwrap();
        }
        methods += study.method.len();
    }
    assert!(methods >= 8, "{methods}");
}

#[test]
fn a_rewriter_is_a_model_or_thoughts() {
    let study = |rest: &str| {
        let head = "title = \"s\"\nqueries = \"q\"\nseeds = [0]\nbaseline = \"a\"\n[[method]]\n\
                    name = \"a\"\nrecipe = \"d\"\n";
        Study::parse(Path::new("s.toml"), &format!("{head}{rest}"))
    };
    for (text, rewriter) in [
        (
            "{ recipe = \"r\" }",
            Rewriter::Model {
                recipe: "r".into(),
                stage: Stage::Last,
            },
        ),
        (
            "{ recipe = \"r\", stage = \"cold_start\" }",
            Rewriter::Model {
                recipe: "r".into(),
                stage: Stage::ColdStart,
            },
        ),
        (
            "{ thoughts = \"gold-long\" }",
            Rewriter::Given(Contents::GoldLong),
        ),
    ] {
        let read = study(&format!("rewriter = {text}")).unwrap();
        assert_eq!(read.method[0].rewriter, Some(rewriter));
        let written = toml::to_string(&read).unwrap();
        assert_eq!(Study::parse(Path::new("s.toml"), &written).unwrap(), read);
    }
    let beside = "s.toml: method.rewriter: `a`: expected no gates, sweep, thoughts, budget or query beside it";
    for (text, message) in [
        (
            "{}",
            "s.toml: line 8: rewriter: expected `recipe` or `thoughts`",
        ),
        (
            "{ recipe = \"r\", thoughts = \"gold\" }",
            "s.toml: line 8: rewriter: expected `recipe` or `thoughts`, not both",
        ),
        (
            "{ stage = \"last\", thoughts = \"gold\" }",
            "s.toml: line 8: rewriter.stage: expected `recipe` beside it",
        ),
        (
            "{ thoughts = \"own\" }",
            "s.toml: line 8: rewriter.thoughts: own thoughts are a model's; expected `recipe`",
        ),
        (
            "{ model = \"r\" }",
            "s.toml: line 8: unknown field `model`, expected one of `recipe`, `stage`, `thoughts`",
        ),
        ("{ thoughts = \"gold\" }\ngates = [1]", beside),
        ("{ thoughts = \"gold\" }\nsweep = true", beside),
        ("{ thoughts = \"gold\" }\nthoughts = \"gold\"", beside),
        ("{ recipe = \"r\" }\nbudget = 4", beside),
        ("{ recipe = \"r\" }\nquery = { direct = 0.5 }", beside),
    ] {
        let error = study(&format!("rewriter = {text}")).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn the_papers_recipe_has_the_papers_numbers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/paper.toml");
    let rl = Recipe::read(&path).unwrap().rl.unwrap();
    assert_eq!((rl.rollouts, rl.learning_rate), (8, 1e-6));
    assert_eq!((rl.grpo, rl.info_nce, rl.kl), (1.0, 0.1, 0.0));
    let rewards: Vec<_> = rl.rewards().iter().map(|r| (r.kind, r.weight)).collect();
    let want = [
        (RewardKind::Format, 0.5),
        (RewardKind::Length, 0.2),
        (RewardKind::Rank, 1.0),
    ];
    assert_eq!(rewards, want);
    let (baseline, loss) = rl.loss(16);
    assert_eq!(baseline, Baseline::Standardised);
    assert_eq!(
        (loss.ratio, loss.average),
        (Ratio::Thought, Average::Thoughts)
    );
}

#[test]
fn a_clip_of_the_recipe_replaces_the_variants() {
    let options = RlOptions {
        variant: Variant::Dapo,
        ..RlOptions::default()
    };
    assert_eq!(options.loss(16).1.clip, (0.2, 0.28));
    let clip = Some((0.1, 0.4));
    assert_eq!(RlOptions { clip, ..options }.loss(16).1.clip, (0.1, 0.4));
}

#[test]
fn wrong_recipes_are_refused_in_one_line() {
    for (text, want) in [
        (
            "[rl]\nvarient = \"grpo\"",
            "r.toml: line 2: unknown field `varient`, expected one of `variant`,",
        ),
        (
            "[rl]\nvariant = \"ppo\"",
            "r.toml: line 2: unknown variant `ppo`, expected one of `grpo`, `dr_grpo`, `dapo`, `gspo`, `rloo`",
        ),
        (
            "[rl]\nrollouts = 1",
            "r.toml: rl.rollouts: expected at least 2: a thought is judged against its group",
        ),
        (
            "[rl]\nupdates = 0",
            "r.toml: rl.updates: expected at least 1",
        ),
        (
            "[rl]\nclip = [0.2, -1.0]",
            "r.toml: rl.clip: expected two numbers of at least 0",
        ),
        (
            "[rl]\nshare = 1.0",
            "r.toml: rl.share: expected a share from 0 to less than 1",
        ),
        (
            "[rl]\nshare = 0.3\ntrain = \"pairs.jsonl\"",
            "r.toml: rl.share: expected 0 beside rl.train: the stage has queries of its own",
        ),
        (
            "[rl]\ntemperature = 0.0",
            "r.toml: rl.temperature: expected a number above 0",
        ),
        (
            "[[rl.reward]]\nkind = \"luck\"",
            "r.toml: line 2: unknown variant `luck`, expected one of `format`, `length`, `rank`,",
        ),
        (
            "[[rl.reward]]\nkind = \"graded\"\ncutoff = 0",
            "r.toml: rl.reward.cutoff, rl.reward.slack: expected at least 1",
        ),
        (
            "[thought]\nbudget = 0\n[rl]",
            "r.toml: rl: expected thought.budget above 0 and pooling = \"emb\"",
        ),
        (
            "[query]\nrollouts = 4",
            "r.toml: query.temperature: expected a number above 0 for several rollouts,",
        ),
        (
            "[thought]\ndraws = 0",
            "r.toml: thought.draws: expected at least 1",
        ),
        (
            "[thought]\nwithheld = 1.0",
            "r.toml: thought.withheld: expected a share from 0 to less than 1",
        ),
        (
            "[train]\nbatch = 0",
            "r.toml: train.batch: expected at least 1",
        ),
        (
            "[thought]\nmix = { gold = 0.0 }",
            "r.toml: thought.mix: expected weights of at least 0, not all 0",
        ),
    ] {
        let got = message(text);
        assert!(got.starts_with(want) && !got.contains('\n'), "{got}");
    }
}
