// Command etcd is etcd's own server under a main of ours: upstream's module of
// that name carries replace directives, so it cannot be installed by version.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
