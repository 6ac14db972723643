//! Several modules as one: what one declares as external another defines.

use super::ast::{Function, Linkage, Module, Statement, Variable, architecture};
use super::lexer::{Token, tokens};
use super::{Error, Result, error, parser};
use std::collections::{HashMap, HashSet};

/// Texts in which no name that only its own module may see is another's too: such names get a number
/// behind them in all texts but the first that has them.
///
/// # Errors
/// A text that is no PTX; the message says which.
pub fn separate(texts: &[String]) -> Result<Vec<String>> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut separated = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let of_text = |e: Error| Error {
            message: format!("module {index}: {}", e.message),
            ..e
        };
        let module = parser::parse(text).map_err(of_text)?;
        let private: HashSet<&str> = private(&module).collect();
        let clashes: HashSet<&str> = private
            .iter()
            .copied()
            .filter(|n| taken.contains(*n))
            .collect();
        taken.extend(names(&module).map(str::to_owned));
        separated.push(match clashes.is_empty() {
            true => text.clone(),
            false => renamed(text, &clashes, index).map_err(of_text)?,
        });
    }
    Ok(separated)
}

fn names<'m>(module: &'m Module<'_>) -> impl Iterator<Item = &'m str> {
    let functions = module.functions.iter().map(|function| function.name);
    functions.chain(module.variables.iter().map(|variable| variable.name))
}

/// Names that no other module may see. Entries are the program's to ask for.
fn private<'m>(module: &'m Module<'_>) -> impl Iterator<Item = &'m str> {
    let of_module = |linkage: Linkage| linkage == Linkage::Module;
    let functions = module
        .functions
        .iter()
        .filter(move |f| of_module(f.linkage) && !f.is_entry);
    let variables = module
        .variables
        .iter()
        .filter(move |v| of_module(v.linkage));
    functions.map(|f| f.name).chain(variables.map(|v| v.name))
}

fn renamed(text: &str, names: &HashSet<&str>, index: usize) -> Result<String> {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    let mut done = 0;
    for spanned in tokens(text)? {
        if let Token::Word(word) = spanned.token
            && names.contains(word)
        {
            // The lexer's words are parts of the text.
            let end = word.as_ptr() as usize + word.len() - text.as_ptr() as usize;
            out.push_str(&text[done..end]);
            out.push_str(&format!("$M{index}"));
            done = end;
        }
    }
    out.push_str(&text[done..]);
    Ok(out)
}

/// One module of all. Names that only one module may see have to be different: see [`separate`].
///
/// # Errors
/// A name that two modules define and both show.
pub fn merge<'a>(modules: Vec<Module<'a>>) -> Result<Module<'a>> {
    let mut whole = Module::default();
    let mut functions: HashMap<&str, usize> = HashMap::new();
    let mut variables: HashMap<&str, usize> = HashMap::new();
    for mut module in modules {
        whole.version = whole.version.max(module.version);
        whole.target = newer(whole.target, module.target);
        let files = whole
            .files
            .iter()
            .map(|(number, _)| number + 1)
            .max()
            .unwrap_or(0);
        for (number, path) in module.files {
            whole.files.push((number + files, path));
        }
        whole.aliases.append(&mut module.aliases);
        for mut function in module.functions {
            move_files(function.body.as_deref_mut().unwrap_or(&mut []), files);
            match functions.get(function.name) {
                None => {
                    functions.insert(function.name, whole.functions.len());
                    whole.functions.push(function);
                }
                Some(at) => join_functions(&mut whole.functions[*at], function)?,
            }
        }
        for variable in module.variables {
            match variables.get(variable.name) {
                None => {
                    variables.insert(variable.name, whole.variables.len());
                    whole.variables.push(variable);
                }
                Some(at) => join_variables(&mut whole.variables[*at], variable)?,
            }
        }
    }
    Ok(whole)
}

/// The later of two targets, by their numbers.
fn newer<'a>(one: &'a str, other: &'a str) -> &'a str {
    // A target with a letter is the more special one.
    let rank = |target: &str| (architecture(target), target.ends_with(['a', 'f']));
    if rank(other) > rank(one) { other } else { one }
}

fn join_functions<'a>(known: &mut Function<'a>, new: Function<'a>) -> Result<()> {
    if known.params.len() != new.params.len() || known.returns.len() != new.returns.len() {
        let problem = format!(
            "{}: declared with other parameters than it is defined with",
            new.name
        );
        return error(new.line, problem);
    }
    match (known.body.is_some(), new.body.is_some()) {
        (_, false) => {}
        (false, true) => *known = new,
        (true, true) if new.linkage == Linkage::Weak => {}
        (true, true) if known.linkage == Linkage::Weak => *known = new,
        (true, true) => return error(new.line, format!("{} is defined twice", new.name)),
    }
    Ok(())
}

fn join_variables<'a>(known: &mut Variable<'a>, new: Variable<'a>) -> Result<()> {
    if known.space != new.space {
        return error(new.line, format!("{} is in two state spaces", new.name));
    }
    match (known.linkage, new.linkage) {
        (_, Linkage::Extern) => {}
        (Linkage::Extern, _) => *known = new,
        (Linkage::Common, Linkage::Common) if new.bytes() > known.bytes() => *known = new,
        (_, Linkage::Weak | Linkage::Common) => {}
        (Linkage::Weak | Linkage::Common, _) => *known = new,
        _ => return error(new.line, format!("{} is defined twice", new.name)),
    }
    Ok(())
}

/// Numbers of files are a module's own.
fn move_files(body: &mut [Statement<'_>], by: u32) {
    for statement in body {
        match statement {
            Statement::Loc { file, .. } => *file += by,
            Statement::Block(inner) => move_files(inner, by),
            _ => {}
        }
    }
}
