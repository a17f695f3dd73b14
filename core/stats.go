package core

import "time"

// Stats is the state of the whole system in numbers. Totals count since the
// store was made; depths are of this moment.
type Stats struct {
	Totals      Totals           `json:"totals"`
	Queued      int64            `json:"queued"`  // waiting for a worker
	Delayed     int64            `json:"delayed"` // waiting for their time
	Running     int64            `json:"running"` // claimed by a dispatcher
	Slots       int              `json:"slots"`   // of all workers
	Busy        int              `json:"busy"`
	Workers     []Worker         `json:"workers"`
	Dispatchers []DispatcherInfo `json:"dispatchers"`
	Store       StoreInfo        `json:"store"`
	Through     string           `json:"through"` // id of the last stream entry that Totals include
	Now         time.Time        `json:"now"`     // by the store's clock

	// Wait and Run are how long ended tasks waited (submission to start) and ran.
	Wait Histogram `json:"wait"`
	Run  Histogram `json:"run"`

	// Repaired is how often an index was found not to say what the records say:
	// 0 in health.
	Repaired int64 `json:"repaired"`

	// OldestWait is how long the oldest queued task has waited, in ms; 0 when
	// nothing is queued.
	OldestWait int64 `json:"oldest_wait_ms"`
}

// FunctionStats are the numbers of one function since the store was made.
type FunctionStats struct {
	Function FunctionID `json:"function_id"`
	Name     string     `json:"function,omitempty"` // name@version, filled in by the Service
	Totals   Totals     `json:"totals"`
	Wait     Histogram  `json:"wait"`
	Run      Histogram  `json:"run"`
}

// Totals count transitions.
type Totals struct {
	Submitted int64 `json:"submitted"`
	Started   int64 `json:"started"`
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
	Retried   int64 `json:"retried"`
	Released  int64 `json:"released"`
	Lost      int64 `json:"lost"`
}

// Ended is how many tasks have reached a terminal state.
func (t Totals) Ended() int64 { return t.Completed + t.Failed + t.Cancelled }

// StoreInfo names the store for people.
type StoreInfo struct {
	Kind       string `json:"kind"`                 // "memory" or "redis"
	Version    string `json:"version,omitempty"`    // of the Redis server
	Durability string `json:"durability,omitempty"` // memory, everysec or always
	Memory     int64  `json:"memory,omitempty"`     // bytes in use
	// Since is when the store was first used, or was last found empty after that.
	Since time.Time `json:"since,omitzero"`
}
