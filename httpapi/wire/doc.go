// Package wire holds the JSON documents that the HTTP server and its Go client
// exchange.
//
// Its one rule: data only, no behaviour beyond encoding. The server describes
// these very types in its OpenAPI document, so a field's tags are its
// documentation.
package wire
