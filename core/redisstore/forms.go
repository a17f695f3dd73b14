package redisstore

import "encoding/json"

// forms gathers what the items of a batch have in common, so that it is written once
// and each item names it by a number: a script pays for each argument, by its length.
type forms[F comparable] struct {
	list    []F
	numbers map[F]int
	last    int // number of the last one
}

// number returns the number of a form, from 1.
func (f *forms[F]) number(form F) int {
	if f.last > 0 && f.list[f.last-1] == form {
		return f.last
	}
	n, ok := f.numbers[form]
	if !ok {
		if f.numbers == nil {
			f.numbers = map[F]int{}
		}
		f.list = append(f.list, form)
		n = len(f.list)
		f.numbers[form] = n
	}
	f.last = n
	return n
}

// json is what a script takes of all forms.
func (f *forms[F]) json(fields func(F) []any) ([]byte, error) {
	all := make([][]any, len(f.list))
	for i, form := range f.list {
		all[i] = fields(form)
	}
	return json.Marshal(all)
}
