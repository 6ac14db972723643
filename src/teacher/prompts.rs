//! What a teacher is asked, after the paper's two-step construction: reason freely, then extract keywords
//! (lrem, Data 2), and judge relevance (Data 3).

use super::Message;

/// The first question: free reasoning about a query.
pub fn reason(query: &str) -> Vec<Message> {
    vec![Message::user(format!(
        "You help shoppers of an online shop. A shopper typed the query below. Think about what they \
         want to buy: the need behind it, the kinds of products that meet it, and their properties. \
         Name concrete product types and attributes.\n\nQuery: {query}"
    ))]
}

/// The second question, after the answer `reasoning` to the first: keywords.
pub fn extract(query: &str, reasoning: &str) -> Vec<Message> {
    let mut chat = reason(query);
    chat.push(Message::assistant(reasoning));
    chat.push(Message::user(
        "Now give the search keywords that follow from this: at most six, separated by commas, short \
         noun phrases, the most important first. No duplicates, nothing that is not about products or \
         brands. If the query names a brand, name no other brand. If it is a question or asks for \
         something like another product, give product names or attributes. Do not repeat the query. \
         Answer with the keywords alone.",
    ));
    chat
}

/// Whether a product is what the query asks for.
pub fn relevance(query: &str, title: &str) -> Vec<Message> {
    vec![Message::user(format!(
        "Would a shopper who typed this query be satisfied with this product? Answer yes or no.\n\n\
         Query: {query}\nProduct: {title}"
    ))]
}

/// The judgement in an answer to [`relevance`]: whether its first word is yes; `None` where it is
/// neither yes nor no.
pub fn is_yes(answer: &str) -> Option<bool> {
    let mut words = answer.split(|c: char| !c.is_alphanumeric());
    let word = words.find(|word| !word.is_empty())?.to_lowercase();
    match word.as_str() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn judgements_are_read_from_the_first_word() {
        for (answer, judgement) in [
            ("Yes.", Some(true)),
            (" **no**, it is not", Some(false)),
            ("Nothing", None),
            ("", None),
            ("?!", None),
        ] {
            assert_eq!(is_yes(answer), judgement, "{answer:?}");
        }
    }
}
