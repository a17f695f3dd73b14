// Package pull is the transport whose workers ask: a ROUTER answers the REQs of
// its workers, at once or when there is something to say.
//
// Its one rule: every request is answered exactly once, and an answer that may
// have been lost on the way is sent again to the worker that counts them.
package pull
