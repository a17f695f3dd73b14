package cli

import (
	urfave "github.com/urfave/cli/v2"

	"faasctl/httpapi/client"
)

// listing is the action of a verb that lists something: it takes no arguments,
// reads -o as table, json or id, and has a client for as long as list runs.
func (e *environment) listing(list func(c *urfave.Context, api *client.Client, as string) error) urfave.ActionFunc {
	return func(c *urfave.Context) error {
		as, err := format(c, "table", "json", "id")
		if err != nil {
			return err
		}
		if err := noArguments(c); err != nil {
			return err
		}
		api, err := e.client(c)
		if err != nil {
			return err
		}
		defer api.Close()
		return list(c, api, as)
	}
}

// ids writes what -o id asks for: one name a line, ready for xargs.
func ids[T any](e *environment, all []T, name func(T) string) error {
	for _, one := range all {
		if err := e.data([]byte(name(one) + "\n")); err != nil {
			return err
		}
	}
	return nil
}
