// Package httpapi serves core.Service over HTTP: the four routes that the
// family's clients know, the native routes under /v1, and their description at
// /openapi.json and /docs.
//
// Its one rule: it decides nothing about tasks. It reads requests, asks the
// Service, and writes answers; who may call at all is decided here and nowhere
// else, before any route is looked up.
package httpapi
