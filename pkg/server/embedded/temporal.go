package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	temporalconfig "go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sky-shift/skyctl/pkg/await"
	"github.com/sky-shift/skyctl/pkg/config"
	"github.com/sky-shift/skyctl/pkg/operation"
)

const (
	// Retention is how long the history of a finished operation is kept, here and in a team's Temporal.
	Retention = 7 * 24 * time.Hour

	temporalClusterName = "active"
)

// SearchAttributes are the attributes by which operations can be listed, in addition to Temporal's own.
var SearchAttributes = []string{operation.SearchClusterName, operation.SearchOperation}

// dynamicSettings holds the settings that differ from Temporal's defaults, which are meant for a fleet.
var dynamicSettings = dynamicconfig.StaticClient{
	dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():      1,
	dynamicconfig.MatchingNumTaskqueueWritePartitions.Key():     1,
	dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
	dynamicconfig.HistoryCacheHostLevelMaxSize.Key():            2048,
	dynamicconfig.EventsHostLevelCacheMaxSizeBytes.Key():        16 << 20,
}

// startTemporal runs the four services in this process and returns when workflows can be started.
func startTemporal(ctx context.Context, c *config.Config, d dataDir, log *slog.Logger,
	fatal fatalErrorHandler) (temporal.Server, error) {
	fail := func(err error) (temporal.Server, error) { return nil, fmt.Errorf("starting Temporal: %w", err) }
	cfg, hosts, err := temporalConfig(c, d)
	if err != nil {
		return fail(err)
	}
	if err := ensureNamespace(c.Temporal.Namespace, cfg.Persistence.DataStores[sqlite.PluginName].SQL); err != nil {
		return fail(err)
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(temporalLogger{log.With("component", "temporal"), fatal}),
		temporal.WithAuthorizer(authorization.NewDefaultAuthorizer()),
		temporal.WithClaimMapper(func(*temporalconfig.Config) authorization.ClaimMapper { return certificateClaims{} }),
		temporal.WithDynamicConfigClient(dynamicSettings),
	)
	if err != nil {
		return fail(err)
	}
	if err := server.Start(); err != nil {
		return fail(err)
	}
	if err := awaitTemporalReady(ctx, c); err != nil {
		_ = server.Stop()
		return fail(err)
	}
	return server, nil
}

func temporalConfig(c *config.Config, d dataDir) (*temporalconfig.Config, map[primitives.ServiceName]static.Hosts,
	error) {
	ports, err := findInternalPorts(3, c)
	if err != nil {
		return nil, nil, err
	}
	services := map[string]temporalconfig.Service{}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, port := range map[primitives.ServiceName]int{
		primitives.FrontendService: c.Dev.TemporalPort,
		primitives.HistoryService:  ports[0],
		primitives.MatchingService: ports[1],
		primitives.WorkerService:   ports[2],
	} {
		services[string(name)] = temporalconfig.Service{RPC: temporalconfig.RPC{GRPCPort: port,
			BindOnIP: config.Loopback}}
		hosts[name] = static.SingleLocalHost(config.LoopbackAddress(port))
	}
	disabled := "disabled"
	return &temporalconfig.Config{
		Global: temporalconfig.Global{
			Membership: temporalconfig.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: config.Loopback},
			TLS:        temporalTLS(c),
		},
		Persistence: temporalconfig.Persistence{
			DefaultStore:     sqlite.PluginName,
			VisibilityStore:  sqlite.PluginName,
			NumHistoryShards: 1,
			DataStores:       map[string]temporalconfig.DataStore{sqlite.PluginName: {SQL: sqlConfig(d)}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        temporalClusterName,
			CurrentClusterName:       temporalClusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{temporalClusterName: {
				Enabled: true, InitialFailoverVersion: 1, RPCAddress: config.LoopbackAddress(c.Dev.TemporalPort),
			}},
		},
		DCRedirectionPolicy: temporalconfig.DCRedirectionPolicy{Policy: "noop"},
		Services:            services,
		Archival: temporalconfig.Archival{
			History:    temporalconfig.HistoryArchival{State: disabled},
			Visibility: temporalconfig.VisibilityArchival{State: disabled},
		},
		NamespaceDefaults: temporalconfig.NamespaceDefaults{Archival: temporalconfig.ArchivalNamespaceDefaults{
			History:    temporalconfig.HistoryArchivalNamespaceDefaults{State: disabled},
			Visibility: temporalconfig.VisibilityArchivalNamespaceDefaults{State: disabled},
		}},
		PublicClient: temporalconfig.PublicClient{HostPort: config.LoopbackAddress(c.Dev.TemporalPort)},
	}, hosts, nil
}

// temporalTLS requires a client certificate at every port, including the internal ports of the services: anyone who
// reaches the history service does not need the frontend.
func temporalTLS(c *config.Config) temporalconfig.RootTLS {
	cert, key, ca := c.PKIFile("server.crt"), c.PKIFile("server.key"), []string{c.PKIFile("ca.crt")}
	group := temporalconfig.GroupTLS{
		Server: temporalconfig.ServerTLS{CertFile: cert, KeyFile: key, ClientCAFiles: ca, RequireClientAuth: true},
		Client: temporalconfig.ClientTLS{ServerName: "localhost", RootCAFiles: ca},
	}
	return temporalconfig.RootTLS{
		Internode:       group,
		Frontend:        group,
		SystemWorker:    temporalconfig.WorkerTLS{CertFile: cert, KeyFile: key, Client: group.Client},
		RefreshInterval: pkiCheckInterval,
	}
}

func sqlConfig(d dataDir) *temporalconfig.SQL {
	return &temporalconfig.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: escapeURIPath(d.databasePath()),
		// Pragmas have no underscore here. With FULL, acknowledged writes are on disk, as with etcd.
		ConnectAttributes: map[string]string{"mode": "rw", "journal_mode": "wal", "synchronous": "full",
			"busy_timeout": "10000"},
	}
}

// ensureNamespace adds the namespace if it is missing. It does not change an existing one.
func ensureNamespace(name string, db *temporalconfig.SQL) error {
	attributes := map[string]enumspb.IndexedValueType{}
	for _, a := range SearchAttributes {
		attributes[a] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	ns, err := sqliteschema.NewNamespaceConfig(temporalClusterName, name, false, attributes)
	if err != nil {
		return fmt.Errorf("creating the namespace %s: %w", name, err)
	}
	ns.Detail.Config.Retention = durationpb.New(Retention)
	if err := sqliteschema.CreateNamespaces(db, ns); err != nil {
		return fmt.Errorf("creating the namespace %s: %w", name, err)
	}
	return nil
}

// certificateClaims grants roles by the subject of the client certificate: the UI reads, the others are administrators.
type certificateClaims struct{}

func (certificateClaims) GetClaims(info *authorization.AuthInfo) (*authorization.Claims, error) {
	claims := &authorization.Claims{AuthType: "mtls"}
	if info.TLSSubject == nil {
		return claims, nil
	}
	claims.Subject = info.TLSSubject.CommonName
	switch claims.Subject {
	case subjectServer, subjectClient:
		claims.System = authorization.RoleAdmin
	case subjectUI:
		claims.System = authorization.RoleReader
	}
	return claims, nil
}

func awaitTemporalReady(ctx context.Context, c *config.Config) error {
	tls, err := c.Temporal.TLS.ClientConfig()
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(config.LoopbackAddress(c.Dev.TemporalPort),
		grpc.WithTransportCredentials(credentials.NewTLS(tls)))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	service := workflowservice.NewWorkflowServiceClient(conn)
	return await.Success(ctx, pollInterval, func() error {
		// This needs the frontend, the matching service behind it, and the namespace.
		_, err := service.ListWorkflowExecutions(ctx,
			&workflowservice.ListWorkflowExecutionsRequest{Namespace: c.Temporal.Namespace, PageSize: 1})
		return err
	})
}
