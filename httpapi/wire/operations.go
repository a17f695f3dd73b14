package wire

import "faasctl/core"

// Operate asks for something to be done to many tasks.
type Operate struct {
	Kind   core.OperationKind `json:"kind" doc:"cancel, retry or purge" enum:"cancel,retry,purge"`
	Filter Selection          `json:"filter,omitzero"`
	Now    bool               `json:"now,omitempty" doc:"cancel, purge: takes effect at once and cannot be undone"`
	Grace  *Duration          `json:"grace,omitempty" doc:"cancel: what calls that run have to end after a polite signal, before they are killed: 5s or seconds, at most 1h; absent: their dispatcher's"`
	ID     string             `json:"id,omitempty" doc:"op- and 13 random letters or digits: a request that comes again under it starts nothing more" example:"op-0m2u226mqj422"`
}

// Selection selects the tasks of an operation; what is absent selects all.
type Selection struct {
	State    core.State `json:"state,omitempty" doc:"cancel: only QUEUED, DELAYED or RUNNING tasks" enum:"QUEUED,DELAYED,RUNNING"`
	Function string     `json:"function,omitempty" doc:"a name: all its versions; name@version or an id: that one" example:"double"`
	Queue    string     `json:"queue,omitempty" doc:"only of this queue"`
	Error    string     `json:"error,omitempty" doc:"retry, purge: only what died of this: the class of an error or the kind of a failure" example:"ValueError"`
}

// Operations is the journal.
type Operations struct {
	Operations []core.Operation `json:"operations"`
}

// DeadGroups is what dead letters died of.
type DeadGroups struct {
	Groups []core.FailureGroup `json:"groups"`
	More   bool                `json:"more,omitempty" doc:"there are more than were looked at"`
}
