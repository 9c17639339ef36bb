//! What an import changes: a row updates the variant with its SKU, or adds one. Pure.
//!
//! A column that the table has replaces the field; one that it lacks leaves it. A row finds its
//! product by `product_id`, by its SKU, or by the product's name, and otherwise makes a new one.

use std::collections::HashMap;

use fairline_sale::minor_units;
use serde::Serialize;
use uuid::Uuid;

use crate::admin_api::{
    products::fields::{
        Attribute, VARIANTS_MAX, check_attributes, check_currency, check_description, check_gtin, check_name,
        check_price, check_sku, check_title,
    },
    table::{ImportErrors, NOT_ATTRIBUTES, Row, attributes_of, distinct, note},
};

/// A product of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PlannedProduct {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) archived: bool,
}

/// A variant of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PlannedVariant {
    pub(crate) id: Uuid,
    pub(crate) product_id: Uuid,
    pub(crate) position: i32,
    pub(crate) sku: String,
    pub(crate) title: String,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) price_minor: i64,
    pub(crate) currency: String,
    pub(crate) gtin: Option<String>,
}

/// The part of the catalogue that a table concerns.
#[derive(Debug, Default)]
pub(crate) struct KnownProducts {
    /// Products that the table names by id or by name, or of which it names a SKU; with the number
    /// of their variants.
    pub(crate) products: Vec<(PlannedProduct, usize)>,
    /// The variants whose SKUs the table names.
    pub(crate) variants: Vec<PlannedVariant>,
}

/// The changes of an import. Unchanged rows are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportPlan {
    pub(crate) new_products: Vec<PlannedProduct>,
    pub(crate) changed_products: Vec<PlannedProduct>,
    pub(crate) new_variants: Vec<PlannedVariant>,
    pub(crate) changed_variants: Vec<PlannedVariant>,
}

impl ImportPlan {
    /// The products whose version is raised: those that exist, and change or have a variant that
    /// does.
    pub(crate) fn touched(&self) -> Vec<Uuid> {
        let variants = self.new_variants.iter().chain(&self.changed_variants).map(|variant| variant.product_id);
        let mut touched: Vec<Uuid> = self.changed_products.iter().map(|product| product.id).chain(variants).collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }
}

/// The rows of one product.
struct ProductRows<'a> {
    product: PlannedProduct,
    /// How it is in the catalogue, if it exists.
    before: Option<&'a PlannedProduct>,
    variants: usize,
    rows: Vec<&'a Row>,
}

/// Plans an import. Errors name the lines.
pub(crate) fn plan(rows: &[Row], known: &KnownProducts) -> Result<ImportPlan, ImportErrors> {
    let mut errors = ImportErrors::default();
    let skus: HashMap<&str, &PlannedVariant> = known.variants.iter().map(|one| (one.sku.as_str(), one)).collect();
    let mut plan = ImportPlan::default();
    for group in &mut groups(rows, known, &skus, &mut errors) {
        let errors_before = errors.count;
        merge(group, &mut errors);
        for row in std::mem::take(&mut group.rows) {
            let Some(sku) = row.filled("sku") else { continue };
            let before = skus.get(sku).copied();
            match (variant(row, before, group, &mut errors), before) {
                (None, _) => {}
                (Some(variant), Some(before)) if variant == *before => {}
                (Some(variant), Some(_)) => plan.changed_variants.push(variant),
                (Some(variant), None) => plan.new_variants.push(variant),
            }
        }
        if errors.count == errors_before {
            match group.before {
                Some(before) if *before == group.product => {}
                Some(_) => plan.changed_products.push(group.product.clone()),
                None => plan.new_products.push(group.product.clone()),
            }
        }
    }
    if errors.is_empty() {
        return Ok(plan);
    }
    errors.listed.sort_by_key(|error| error.line);
    Err(errors)
}

/// Collects the rows by product.
fn groups<'a>(
    rows: &'a [Row],
    known: &'a KnownProducts,
    skus: &HashMap<&str, &PlannedVariant>,
    errors: &mut ImportErrors,
) -> Vec<ProductRows<'a>> {
    let products: HashMap<Uuid, &(PlannedProduct, usize)> = known.products.iter().map(|one| (one.0.id, one)).collect();
    let rows = distinct(rows, errors);
    let targets: Vec<Option<Uuid>> = rows.iter().map(|row| target(row, &products, skus, errors)).collect();
    // A name in the table comes before one in the catalogue: the table may change it.
    let mut names: HashMap<&str, Vec<Uuid>> = HashMap::new();
    for (product, _) in &known.products {
        names.entry(product.name.as_str()).or_default().push(product.id);
    }
    for (row, target) in rows.iter().zip(&targets) {
        if let (Some(name), Some(id)) = (row.filled("product"), target) {
            names.insert(name, vec![*id]);
        }
    }
    let mut groups: Vec<ProductRows<'a>> = Vec::new();
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    for (row, target) in rows.into_iter().zip(targets) {
        let is_wrong = target.is_none() && row.filled("product_id").is_some();
        let id = match (target, row.filled("product")) {
            (Some(id), _) => id,
            (None, _) if is_wrong => continue,
            (None, None) => {
                errors.add(row.line, Some("product"), "A new SKU needs the name or the id of its product.");
                continue;
            }
            (None, Some(name)) => match names.entry(name).or_insert_with(|| vec![Uuid::now_v7()]).as_slice() {
                [id] => *id,
                _ => {
                    errors.add(row.line, Some("product"), "Several products have this name: give the `product_id`.");
                    continue;
                }
            },
        };
        let place = *places.entry(id).or_insert_with(|| {
            let before = products.get(&id);
            let new = || PlannedProduct {
                id,
                name: String::new(),
                description: String::new(),
                attributes: Vec::new(),
                archived: false,
            };
            groups.push(ProductRows {
                product: before.map_or_else(new, |(product, _)| product.clone()),
                before: before.map(|(product, _)| product),
                variants: before.map_or(0, |(_, variants)| *variants),
                rows: Vec::new(),
            });
            groups.len() - 1
        });
        groups[place].rows.push(row);
    }
    groups
}

/// The existing product of a row: by its id, or by its SKU.
fn target(
    row: &Row,
    products: &HashMap<Uuid, &(PlannedProduct, usize)>,
    skus: &HashMap<&str, &PlannedVariant>,
    errors: &mut ImportErrors,
) -> Option<Uuid> {
    let of_sku = row.filled("sku").and_then(|sku| skus.get(sku)).map(|variant| variant.product_id);
    let Some(named) = row.filled("product_id") else { return of_sku };
    let id = Uuid::try_parse(named).ok().filter(|id| products.contains_key(id));
    match (id, of_sku) {
        (None, _) => errors.add(row.line, Some("product_id"), "There is no such product."),
        (Some(id), Some(other)) if id != other => {
            errors.add(row.line, Some("product_id"), "The SKU belongs to another product.");
            return None;
        }
        _ => {}
    }
    id
}

/// Sets the fields of a product from its rows: the first one that is not empty, and no other.
fn merge(group: &mut ProductRows<'_>, errors: &mut ImportErrors) {
    let Some(first) = group.rows.first() else { return };
    let mut value = |column: &'static str| -> Option<(u64, &str)> {
        first.cell(column)?;
        let mut filled = group.rows.iter().filter_map(|row| row.filled(column).map(|cell| (row, cell)));
        let Some((row, cell)) = filled.next() else { return Some((first.line, "")) };
        for (other, _) in filled.filter(|(_, other)| *other != cell) {
            errors.add(other.line, Some(column), format!("Line {} has another value for the same product.", row.line));
        }
        // Untrimmed, so that an exported text comes back unchanged.
        Some((row.line, row.cell(column).unwrap_or(cell)))
    };
    let (name, description) = (value("product"), value("description"));
    let (attributes, archived) = (value("product_attributes"), value("archived"));
    let product = &mut group.product;
    if let Some((_, name)) = name.filter(|(_, name)| !name.trim().is_empty()) {
        name.trim().clone_into(&mut product.name);
    }
    if let Some((_, description)) = description {
        description.clone_into(&mut product.description);
    }
    if let Some((line, cell)) = attributes {
        match attributes_of(cell) {
            Some(attributes) => product.attributes = attributes,
            None => errors.add(line, Some("product_attributes"), NOT_ATTRIBUTES),
        }
    }
    if let Some((line, cell)) = archived {
        match cell.trim().to_ascii_lowercase().as_str() {
            "" | "no" | "false" => product.archived = false,
            "yes" | "true" => product.archived = true,
            _ => errors.add(line, Some("archived"), "It must be `yes` or `no`."),
        }
    }
    let line = first.line;
    for (column, checked) in [
        ("product", check_name(&product.name)),
        ("description", check_description(&product.description)),
        ("product_attributes", check_attributes(&product.attributes)),
    ] {
        note(errors, line, column, checked);
    }
}

/// The variant that a row makes or changes.
fn variant(
    row: &Row,
    before: Option<&PlannedVariant>,
    group: &mut ProductRows<'_>,
    errors: &mut ImportErrors,
) -> Option<PlannedVariant> {
    let errors_before = errors.count;
    let (line, text) = (row.line, |column: &str| row.cell(column).map(str::trim));
    let title = text("title").map_or_else(|| before.map(|one| one.title.clone()).unwrap_or_default(), str::to_owned);
    let attributes = match row.cell("attributes").map(attributes_of) {
        None => before.map(|one| one.attributes.clone()).unwrap_or_default(),
        Some(Some(attributes)) => attributes,
        Some(None) => {
            errors.add(line, Some("attributes"), NOT_ATTRIBUTES);
            Vec::new()
        }
    };
    let (price_minor, currency) = price(row, before, errors);
    let gtin = match text("gtin") {
        None => before.and_then(|one| one.gtin.clone()),
        Some(gtin) => Some(gtin.to_owned()).filter(|gtin| !gtin.is_empty()),
    };
    let position = before.map_or(group.variants, |_| 0);
    if before.is_none() {
        group.variants += 1;
        if position >= VARIANTS_MAX {
            errors.add(line, None, format!("A product has at most {VARIANTS_MAX} variants."));
        }
    }
    let sku = row.filled("sku").unwrap_or_default().to_owned();
    note(errors, line, "sku", check_sku(&sku));
    note(errors, line, "title", check_title(&title));
    note(errors, line, "attributes", check_attributes(&attributes));
    note(errors, line, "gtin", gtin.as_deref().map_or(Ok(()), check_gtin));
    (errors.count == errors_before).then(|| PlannedVariant {
        id: before.map_or_else(Uuid::now_v7, |one| one.id),
        product_id: group.product.id,
        position: before.map_or_else(|| i32::try_from(position).unwrap_or(i32::MAX), |one| one.position),
        sku,
        title,
        attributes,
        price_minor,
        currency,
        gtin,
    })
}

/// The list price of a row, in minor units of its currency.
fn price(row: &Row, before: Option<&PlannedVariant>, errors: &mut ImportErrors) -> (i64, String) {
    let known = before.map(|one| one.currency.as_str());
    let Some(currency) = row.filled("currency").or(known) else {
        errors.add(row.line, Some("currency"), "A new SKU needs a currency.");
        return (0, String::new());
    };
    note(errors, row.line, "currency", check_currency(currency));
    let price_minor = match (row.filled("price"), before) {
        (Some(text), _) => {
            let price_minor = minor_units(text, currency);
            if price_minor.is_none() {
                errors.add(row.line, Some("price"), format!("It is not an amount in {currency}: write it like 49.00."));
            }
            price_minor
        }
        (None, Some(before)) if before.currency == currency => Some(before.price_minor),
        (None, _) => {
            errors.add(row.line, Some("price"), "A new SKU, or another currency, needs a price.");
            None
        }
    };
    if let Some(price_minor) = price_minor {
        let must = "It must be above 0, and at most 1000000000 in the smallest unit of the currency.";
        if check_price(price_minor).is_err() {
            errors.add(row.line, Some("price"), must);
        }
    }
    (price_minor.unwrap_or_default(), currency.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{super::format::read, *};

    const SHOE: Uuid = Uuid::from_u128(1);
    const LAMP: Uuid = Uuid::from_u128(2);

    fn product(id: Uuid, name: &str) -> PlannedProduct {
        PlannedProduct {
            id,
            name: name.to_owned(),
            description: "For the road.".to_owned(),
            attributes: Vec::new(),
            archived: false,
        }
    }

    fn variant(sku: &str, product_id: Uuid, position: i32) -> PlannedVariant {
        PlannedVariant {
            id: Uuid::from_u128(100 + u128::try_from(position).expect("positive")),
            product_id,
            position,
            sku: sku.to_owned(),
            title: "EU 42".to_owned(),
            attributes: Vec::new(),
            price_minor: 4900,
            currency: "EUR".to_owned(),
            gtin: None,
        }
    }

    fn known() -> KnownProducts {
        KnownProducts {
            products: vec![(product(SHOE, "Shoe"), 2), (product(LAMP, "Lamp"), 0)],
            variants: vec![variant("S-42", SHOE, 0), variant("S-43", SHOE, 1)],
        }
    }

    fn planned(table: &str) -> ImportPlan {
        plan(&read(table.as_bytes()).expect("rows"), &known()).expect("a plan")
    }

    fn errors(table: &str) -> Vec<(u64, Option<&'static str>)> {
        let errors = plan(&read(table.as_bytes()).expect("rows"), &known()).expect_err(table);
        errors.listed.iter().map(|error| (error.line, error.column)).collect()
    }

    #[test]
    fn only_what_differs_is_written_and_missing_columns_stay() {
        let plan = planned("sku,price\nS-42,49.00\nS-43,59\n");
        assert_eq!((plan.new_products.len(), plan.changed_products.len(), plan.new_variants.len()), (0, 0, 0));
        assert_eq!(plan.changed_variants, [PlannedVariant { price_minor: 5900, ..variant("S-43", SHOE, 1) }]);
        assert_eq!(plan.touched(), [SHOE]);
        assert_eq!(planned("sku,product\nS-42,Shoe\n"), ImportPlan::default());
    }

    #[test]
    fn a_product_is_found_by_sku_by_id_and_by_name() {
        let table = format!(
            "product_id,product,sku,price,currency\n,Boot,S-42,,\n,Boot,S-44,1.00,EUR\n{LAMP},,L-1,2.00,EUR\n,New,N-1,3,EUR\n,New,N-2,4,EUR\n"
        );
        let plan = planned(&table);
        assert_eq!(plan.changed_products, [PlannedProduct { name: "Boot".to_owned(), ..product(SHOE, "") }]);
        let places: Vec<_> = plan.new_variants.iter().map(|one| (one.sku.as_str(), one.position)).collect();
        assert_eq!(places, [("S-44", 2), ("L-1", 0), ("N-1", 0), ("N-2", 1)]);
        assert_eq!((plan.new_variants[0].product_id, plan.new_variants[1].product_id), (SHOE, LAMP));
        let new = &plan.new_products[0];
        assert_eq!((new.name.as_str(), new.id), ("New", plan.new_variants[3].product_id));
        assert_eq!(planned("sku,product,price,currency\nL-1,Lamp,1,EUR\n").new_variants[0].product_id, LAMP);
        // A row without a SKU has only a product.
        let plan = planned("sku,product,description\n,Lamp,Bright.\n,Empty,\n");
        assert_eq!(
            (plan.changed_products[0].description.as_str(), plan.new_products[0].name.as_str()),
            ("Bright.", "Empty")
        );
    }

    #[test]
    fn a_column_replaces_and_an_empty_cell_empties() {
        let plan = planned(
            "sku,description,product_attributes,archived,title,attributes,gtin\nS-42,,A=b|C=d,yes,,Size=42,4006381333931\n",
        );
        let product = &plan.changed_products[0];
        assert_eq!((product.description.as_str(), product.attributes.len(), product.archived), ("", 2, true));
        let variant = &plan.changed_variants[0];
        assert_eq!((variant.title.as_str(), variant.attributes.len()), ("", 1));
        assert_eq!(variant.gtin.as_deref(), Some("4006381333931"));
    }

    #[test]
    fn errors_name_their_line_and_column() {
        for (table, expected) in [
            ("sku\nNEW\n", vec![(2, Some("product"))]),
            ("sku,product\nNEW,Shoe\n", vec![(2, Some("currency"))]),
            ("sku,product,currency\nNEW,Shoe,EUR\n", vec![(2, Some("price"))]),
            ("sku,currency\nS-42,USD\n", vec![(2, Some("price"))]),
            ("sku,price\nS-42,49.999\nS-43,-1\n", vec![(2, Some("price")), (3, Some("price"))]),
            ("sku,price\nS-42,0\n", vec![(2, Some("price"))]),
            ("sku,gtin\nS-42,123\n", vec![(2, Some("gtin"))]),
            ("sku,attributes\nS-42,Size\n", vec![(2, Some("attributes"))]),
            ("sku,archived\nS-42,perhaps\n", vec![(2, Some("archived"))]),
            ("sku,title\nS-42,a\nS-42,b\n", vec![(3, Some("sku"))]),
            ("sku,product\nS-42,One\nS-43,Other\n", vec![(3, Some("product"))]),
            ("sku,product_id\nS-42,nothing\n", vec![(2, Some("product_id"))]),
            ("sku,product,price,currency\n=x,Shoe,1,EUR\n", vec![(2, Some("sku"))]),
        ] {
            assert_eq!(errors(table), expected, "{table}");
        }
        assert_eq!(errors(&format!("sku,product_id\nS-42,{LAMP}\n")), [(2, Some("product_id"))]);
        let rows: String = (0..199).map(|nth| format!("N-{nth},Shoe,1,EUR\n")).collect();
        assert_eq!(errors(&format!("sku,product,price,currency\n{rows}")), [(200, None)], "the 201st variant");
        let twice =
            KnownProducts { products: vec![(product(SHOE, "Same"), 0), (product(LAMP, "Same"), 0)], variants: vec![] };
        let rows = read(b"sku,product,price,currency\nNEW,Same,1,EUR\n").expect("rows");
        assert_eq!(plan(&rows, &twice).expect_err("two products").listed[0].column, Some("product"));
    }
}
