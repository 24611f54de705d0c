//! A simulated Genesys Cloud: the recovery guide's own flow status beside the public API's shapes.
//!
//! Field names are those of the public API's models; `tests/data/genesys_models.json` holds the answers against them.

mod account;
mod action;
mod flows;
mod queues;
mod routing;
mod telephony;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{faults::wrong, world::World};

/// The entities of a page where the request does not say.
const USUAL_PAGE: usize = 25;
/// The most entities of a page.
const LARGEST_PAGE: usize = 500;

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .merge(account::routes())
        .merge(action::routes())
        .merge(flows::routes())
        .merge(queues::routes())
        .merge(routing::routes())
        .merge(telephony::routes())
}

/// A request's query.
type Asked = BTreeMap<String, String>;

/// A reference to a thing.
fn reference(id: &str, name: &str, path: &str) -> Value {
    json!({ "id": id, "name": name, "selfUri": format!("/api/v2/{path}/{id}") })
}

/// A page of a listing: `pageNumber` from 1, `pageSize`.
struct Page {
    number: usize,
    size: usize,
}

impl Page {
    /// The page that a request asks for.
    fn read(asked: &Asked) -> Result<Self, Box<Response>> {
        let read = |key: &str, usual: usize, largest: usize| match asked.get(key) {
            None => Ok(usual),
            Some(text) => {
                text.parse().ok().filter(|number| (1..=largest).contains(number)).ok_or_else(|| {
                    let message = format!("`{key}` must be a number from 1 to {largest}");
                    Box::new(wrong(StatusCode::BAD_REQUEST, "bad.request", &message))
                })
            }
        };
        Ok(Self {
            number: read("pageNumber", 1, usize::MAX / LARGEST_PAGE)?,
            size: read("pageSize", USUAL_PAGE, LARGEST_PAGE)?,
        })
    }

    /// The part of all ids that the page shows.
    fn cut<'i>(&self, ids: &'i [String]) -> &'i [String] {
        let start = ((self.number - 1) * self.size).min(ids.len());
        &ids[start..ids.len().min(start + self.size)]
    }

    /// The listing with the entities of this page, out of `total`; `path` with the query's other parts.
    fn listing(&self, entities: &[Value], total: usize, path: &str) -> Response {
        let pages = total.div_ceil(self.size).max(1);
        let join = if path.contains('?') { '&' } else { '?' };
        let uri = |number: usize| format!("/api/v2/{path}{join}pageSize={}&pageNumber={number}", self.size);
        let mut listing = json!({
            "entities": entities,
            "pageSize": self.size,
            "pageNumber": self.number,
            "total": total,
            "firstUri": uri(1),
            "selfUri": uri(self.number),
            "lastUri": uri(pages),
            "pageCount": pages,
        });
        if self.number < pages {
            listing["nextUri"] = json!(uri(self.number + 1));
        }
        if self.number > 1 {
            listing["previousUri"] = json!(uri(self.number - 1));
        }
        Json(listing).into_response()
    }
}
