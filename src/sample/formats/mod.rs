//! The generated shop as the exports of shop systems: one file a system.
//!
//! A system that does not record something, such as the customers of Amazon, does not record it here either.

mod amazon;
mod bigcommerce;
mod cdnow;
mod etsy;
pub(super) mod goldsmith;
mod magento;
mod olist;
mod online_retail;
mod prestashop;
mod shopify;
mod square;
mod stripe;
mod table;
mod view;
mod woocommerce;

use super::shop::Shop;
use super::spec::{Files, Format, SampleError};

/// The files that a system would export of the shop; none for [`Format::Goldsmith`], whose rows may be
/// corrupted before they are written.
pub(super) fn files(format: Format, shop: &Shop) -> Result<Files, SampleError> {
    match format {
        Format::Goldsmith => Ok(Files::new()),
        Format::Shopify => shopify::files(shop),
        Format::Woocommerce => woocommerce::files(shop),
        Format::Prestashop => prestashop::files(shop),
        Format::Magento => magento::files(shop),
        Format::Stripe => stripe::files(shop),
        Format::Square => square::files(shop),
        Format::Etsy => etsy::files(shop),
        Format::Amazon => amazon::files(shop),
        Format::Bigcommerce => bigcommerce::files(shop),
        Format::Olist => olist::files(shop),
        Format::OnlineRetail => online_retail::files(shop),
        Format::Cdnow => Ok(cdnow::files(shop)),
    }
}
