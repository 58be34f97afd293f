//! Purchases and revenue: by country, product and period, as a histogram and as statistics.
//!
//! Computed by `pipeline::gold::{sales, statistics}`.

use super::columns::{
    GROSS_REVENUE, MAX, REFUNDS, TALLY_PURCHASES, date, float, int, money, text, text_list,
    timestamp,
};
use crate::domain::schema::{Access, Column, Direction, Purchases, Scope, Table, Tally};

/// Every valid line of an order, with its calendar.
pub static FACT_ACHATS: Table = Table {
    name: "fact_achats",
    grain: "one row per line of an order, of a sale or of a refund",
    key: &["id_achat"],
    columns: &[
        int("id_achat", "the line; an order's first line has the order's number").within(1.0, MAX),
        int("id_client", "the customer who bought; null for a guest")
            .nullable()
            .within(1.0, MAX)
            .indexed(),
        timestamp("date_achat", "when, as the shop's clocks showed").indexed(),
        float("montant", "amount as in the source, EUR; negative for a refund"),
        text("produit", "product; null if unknown").nullable(),
        int("quantite", "units of the line; null if absent in the source")
            .nullable()
            .within(1.0, MAX),
        float("prix", "unit price as in the source, EUR; null if absent").nullable(),
        text("pays", "country of the customer, for guests the one of the row; null if unknown")
            .nullable(),
        date("jour", "day of date_achat"),
        text("mois", "month of date_achat, YYYY-MM"),
        int("annee", "year of date_achat"),
        date("semaine", "Monday of the week of date_achat"),
        text("trimestre", "quarter of date_achat, YYYY-Qn"),
        int("id_commande", "the order that the row is a line of").within(1.0, MAX).added(),
        text("ref_commande", "the order's number as the shop shows it").added(),
        int("ligne", "the line's number within its order, from 1").within(1.0, MAX).added(),
        text("type", "sale, or refund").added(),
        text("devise", "currency of the amounts, ISO 4217; null if the source names none")
            .nullable()
            .added(),
    ],
    order: &[],
    tally: Some(Tally { revenue: "montant", purchases: Purchases::Lines, scope: Scope::All }),
    access: Access::Within("id_client"),
};

const NET_REVENUE: Column = money(
    "total_revenue",
    "net revenue: sum of montant of all lines, refunds included, EUR; negative where refunds exceed sales",
);
const ORDERS: Column = int(
    "total_purchases",
    "number of orders, each counted at its first sale line; none without a sale line",
)
.within(0.0, MAX);
const AVG_BASKET: Column =
    money("avg_basket", "gross_revenue / total_purchases, EUR; null without a purchase")
        .nullable()
        .within(0.0, MAX);
const BUYERS: Column =
    int("unique_customers", "distinct known customers with a sale").within(0.0, MAX);
const MARKET_SHARE: Column =
    float("market_share_pct", "share of all gross revenue, 0 to 100").within(0.0, 100.0);

/// Revenue by the country of the customer.
pub static REVENUE_BY_COUNTRY: Table = Table {
    name: "revenue_by_country",
    grain: "one row per country with a sale or a refund",
    key: &["pays"],
    columns: &[
        text(
            "pays",
            "country of the customer, of guests that of the row; Unknown where there is none",
        ),
        NET_REVENUE,
        ORDERS,
        AVG_BASKET,
        BUYERS,
        money(
            "avg_revenue_per_customer",
            "net revenue of known customers / unique_customers, EUR; null without one who bought",
        )
        .nullable(),
        MARKET_SHARE,
        GROSS_REVENUE,
        REFUNDS,
        int("total_customers", "known customers of the country, buyers or not")
            .within(0.0, MAX)
            .added(),
    ],
    order: &[("total_revenue", Direction::Descending)],
    tally: TALLY_PURCHASES,
    access: Access::Any,
};

/// Revenue by product.
pub static REVENUE_BY_PRODUCT: Table = Table {
    name: "revenue_by_product",
    grain: "one row per product sold or refunded",
    key: &["produit"],
    columns: &[
        text("produit", "product; Unknown where there is none"),
        NET_REVENUE,
        int("total_sales", "number of sale lines").within(0.0, MAX),
        money("avg_price", "mean of montant of sale lines, EUR; null without one")
            .nullable()
            .within(0.0, MAX),
        money("min_price", "smallest montant of sale lines, EUR; null without one")
            .nullable()
            .within(0.0, MAX),
        money("max_price", "largest montant of sale lines, EUR; null without one")
            .nullable()
            .within(0.0, MAX),
        BUYERS,
        MARKET_SHARE,
        text_list("top_countries", "up to 3 countries by net revenue of this product, descending"),
        GROSS_REVENUE,
        REFUNDS,
        int("units_sold", "sum of quantite of sale lines; a line without one counts 1")
            .within(0.0, MAX)
            .added(),
    ],
    order: &[("total_revenue", Direction::Descending)],
    tally: Some(Tally {
        revenue: "total_revenue",
        purchases: Purchases::SaleLines("total_sales"),
        scope: Scope::All,
    }),
    access: Access::Any,
};

/// The columns that every table of revenue by period has after its key.
macro_rules! period_columns {
    ($($key:expr),+ ; $($extra:expr),*) => {
        &[
            $($key,)+
            NET_REVENUE,
            ORDERS,
            AVG_BASKET,
            BUYERS,
            money("prev_revenue", "total_revenue of the previous period, EUR; null for the first")
                .nullable(),
            money("growth_abs", "total_revenue - prev_revenue, EUR; null for the first").nullable(),
            float(
                "growth_pct",
                "growth_abs / prev_revenue, as a fraction; null for the first and when prev_revenue is not above 0",
            )
            .nullable(),
            $($extra,)*
            GROSS_REVENUE,
            REFUNDS,
        ]
    };
}

/// Revenue by calendar month, months without a sale included.
pub static MONTHLY_REVENUE: Table = Table {
    name: "monthly_revenue",
    grain: "one row per month from the first sale or refund to the last",
    key: &["month"],
    columns: period_columns!(
        text("month", "month, YYYY-MM"),
        date("month_start", "first day of the month");
    ),
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Any,
};

/// Revenue by ISO week, weeks without a sale included.
pub static WEEKLY_REVENUE: Table = Table {
    name: "weekly_revenue",
    grain: "one row per week from the first sale or refund to the last",
    key: &["week_start"],
    columns: period_columns!(date("week_start", "Monday of the week"); ),
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Any,
};

/// Revenue by day, days without a sale included.
pub static DAILY_REVENUE: Table = Table {
    name: "daily_revenue",
    grain: "one row per day from the first sale or refund to the last",
    key: &["day"],
    columns: period_columns!(
        date("day", "day");
        money(
            "revenue_7d_avg",
            "net revenue of the 7 calendar days up to and including the day / 7, EUR; a day without lines counts as 0"
        ),
        float(
            "purchases_7d_avg",
            "orders of the 7 calendar days up to and including the day / 7; a day without sales counts as 0"
        )
        .within(0.0, MAX)
    ),
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Any,
};

/// Histogram of amounts.
pub static BASKET_DISTRIBUTION: Table = Table {
    name: "basket_distribution",
    grain: "one row per bin: 12 bins of equal width from the smallest amount sold on an order to the largest",
    key: &["bucket_index"],
    columns: &[
        int("bucket_index", "bin, 0 to 11").within(0.0, 11.0),
        text(
            "bucket",
            "label of the bin, `(low, high]`; the lower edge of the first one is shown 0.1 % of the whole range lower, since it is closed on the left too",
        ),
        float("bucket_low", "lower edge, EUR; belongs to the previous bin, except for the first"),
        float("bucket_high", "upper edge, EUR; belongs to the bin"),
        int("count", "orders whose amount sold lies in the bin").within(0.0, MAX),
    ],
    order: &[],
    tally: None,
    access: Access::Any,
};

const fn of_amounts(name: &'static str, doc: &'static str) -> Column {
    money(name, doc).nullable().within(0.0, MAX)
}

/// Descriptive statistics of all sale lines.
pub static STATISTICS: Table = Table {
    name: "statistics",
    grain: "one row",
    key: &[],
    columns: &[
        int("total_purchases", "number of orders with a sale line").within(0.0, MAX),
        NET_REVENUE,
        int("total_customers", "distinct known customers with a sale").within(0.0, MAX),
        int("total_products", "distinct known products sold").within(0.0, MAX),
        int("total_countries", "distinct known countries of sales").within(0.0, MAX),
        of_amounts("mean", "mean of montant of sale lines, EUR; null without one"),
        of_amounts("median", "median of montant of sale lines, EUR; null without one"),
        of_amounts(
            "std",
            "standard deviation (n - 1) of montant of sale lines, EUR; null for fewer than two",
        ),
        of_amounts("min", "minimum of montant of sale lines, EUR; null without one"),
        of_amounts("max", "maximum of montant of sale lines, EUR; null without one"),
        of_amounts("q25", "first quartile of montant of sale lines, EUR; null without one"),
        of_amounts("q75", "third quartile of montant of sale lines, EUR; null without one"),
        of_amounts("q90", "90th percentile of montant of sale lines, EUR; null without one"),
        of_amounts("q95", "95th percentile of montant of sale lines, EUR; null without one"),
        money("prix_mean", "mean of prix, EUR; null when no sale line has one").nullable(),
        money("prix_median", "median of prix, EUR; null when no sale line has one").nullable(),
        money(
            "prix_std",
            "standard deviation (n - 1) of prix, EUR; null when no sale line has one",
        )
        .nullable(),
        money("prix_min", "minimum of prix, EUR; null when no sale line has one").nullable(),
        money("prix_max", "maximum of prix, EUR; null when no sale line has one").nullable(),
        money("prix_q25", "first quartile of prix, EUR; null when no sale line has one").nullable(),
        money("prix_q75", "third quartile of prix, EUR; null when no sale line has one").nullable(),
        money("prix_q90", "90th percentile of prix, EUR; null when no sale line has one")
            .nullable(),
        money("prix_q95", "95th percentile of prix, EUR; null when no sale line has one")
            .nullable(),
        float("quantite_mean", "mean of quantite; null when no sale line has one").nullable(),
        float("quantite_median", "median of quantite; null when no sale line has one").nullable(),
        float(
            "quantite_std",
            "standard deviation (n - 1) of quantite; null when no sale line has one",
        )
        .nullable(),
        float("quantite_min", "minimum of quantite; null when no sale line has one").nullable(),
        float("quantite_max", "maximum of quantite; null when no sale line has one").nullable(),
        float("quantite_q25", "first quartile of quantite; null when no sale line has one")
            .nullable(),
        float("quantite_q75", "third quartile of quantite; null when no sale line has one")
            .nullable(),
        float("quantite_q90", "90th percentile of quantite; null when no sale line has one")
            .nullable(),
        float("quantite_q95", "95th percentile of quantite; null when no sale line has one")
            .nullable(),
    ],
    order: &[],
    tally: TALLY_PURCHASES,
    access: Access::Unlisted,
};

/// The columns that tables of statistics by group have after their key.
macro_rules! group_columns {
    ($key:expr) => {
        &[
            $key,
            int("count", "number of sale lines").within(1.0, MAX),
            money("mean", "mean of line amounts, EUR"),
            money("median", "median of line amounts, EUR"),
            money("q25", "first quartile of line amounts, EUR"),
            money("q75", "third quartile of line amounts, EUR"),
            money("min", "smallest line amount, EUR"),
            money("max", "largest line amount, EUR"),
        ]
    };
}

/// Statistics of line amounts by product.
pub static STATISTICS_BY_PRODUCT: Table = Table {
    name: "statistics_by_product",
    grain: "one row per product sold; a line's amount is prix × quantite, montant where either is missing",
    key: &["produit"],
    columns: group_columns!(text("produit", "product; Unknown where there is none")),
    order: &[],
    tally: None,
    access: Access::Any,
};

/// Statistics of line amounts by country.
pub static STATISTICS_BY_COUNTRY: Table = Table {
    name: "statistics_by_country",
    grain: "one row per country with a sale; a line's amount is prix × quantite, montant where either is missing",
    key: &["pays"],
    columns: group_columns!(text(
        "pays",
        "country of the customer, of guests that of the row; Unknown where there is none"
    )),
    order: &[],
    tally: None,
    access: Access::Any,
};
