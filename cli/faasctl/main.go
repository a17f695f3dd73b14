// Command faasctl runs Python functions as a service, from the terminal.
package main

import (
	"os"

	"faasctl/cli"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(cli.Main(os.Args, version)) }
