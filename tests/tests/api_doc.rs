//! The page about the API has the table of endpoints as the schema has it.
#![cfg(test)]

use outcall_schema::api::ENDPOINTS;

#[test]
fn the_page_has_a_row_for_each_endpoint_and_no_other() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.contains(" | `/")).collect();
    let row = |row: &outcall_schema::api::EndpointRow| {
        format!("| {} | `{}` | {} |", row.method.name(), row.path, row.summary)
    };
    assert_eq!(rows, ENDPOINTS.iter().map(row).collect::<Vec<_>>());
}
