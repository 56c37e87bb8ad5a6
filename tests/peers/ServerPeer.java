import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.eclipse.californium.core.CoapResource;
import org.eclipse.californium.core.CoapServer;
import org.eclipse.californium.core.coap.CoAP;
import org.eclipse.californium.core.coap.Response;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.core.server.resources.CoapExchange;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.dtls.cipher.CipherSuite;
import org.eclipse.leshan.core.SecurityMode;
import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.core.link.Link;
import org.eclipse.leshan.core.link.lwm2m.attributes.LwM2mAttribute;
import org.eclipse.leshan.core.link.lwm2m.attributes.LwM2mAttributeSet;
import org.eclipse.leshan.core.link.lwm2m.attributes.LwM2mAttributes;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Operations;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObject;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.node.TimestampedLwM2mNodes;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.BootstrapDownlinkRequest;
import org.eclipse.leshan.core.request.CancelObservationRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.DiscoverRequest;
import org.eclipse.leshan.core.request.DownlinkRequest;
import org.eclipse.leshan.core.request.ExecuteRequest;
import org.eclipse.leshan.core.request.ObserveRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.SendRequest;
import org.eclipse.leshan.core.request.WriteAttributesRequest;
import org.eclipse.leshan.core.request.WriteRequest;
import org.eclipse.leshan.core.response.DiscoverResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ObserveCompositeResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig;
import org.eclipse.leshan.server.bootstrap.BootstrapFailureCause;
import org.eclipse.leshan.server.bootstrap.BootstrapSession;
import org.eclipse.leshan.server.bootstrap.BootstrapSessionAdapter;
import org.eclipse.leshan.server.bootstrap.InMemoryBootstrapConfigStore;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServer;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServerBuilder;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.CaliforniumBootstrapServerEndpointsProvider;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.coap.CoapBootstrapServerProtocolProvider;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.coaps.CoapsBootstrapServerProtocolProvider;
import org.eclipse.leshan.server.californium.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.server.californium.endpoint.coap.CoapServerProtocolProvider;
import org.eclipse.leshan.server.californium.endpoint.coaps.CoapsServerProtocolProvider;
import org.eclipse.leshan.server.model.VersionedModelProvider;
import org.eclipse.leshan.server.observation.ObservationListener;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationUpdate;
import org.eclipse.leshan.server.security.BootstrapSecurityStoreAdapter;
import org.eclipse.leshan.server.security.InMemorySecurityStore;
import org.eclipse.leshan.server.security.SecurityInfo;
import org.eclipse.leshan.server.send.SendListener;

/**
 * Leshan's server and bootstrap server, and Californium serving packages, in one process.
 *
 * A line of input is a JSON object with a number ("id"), a command ("do") and its arguments; a line of output answers it
 * by the same "id", or tells an "event".
 */
public class ServerPeer {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

    private final InMemorySecurityStore keys = new InMemorySecurityStore();
    private final InMemoryBootstrapConfigStore accounts = new InMemoryBootstrapConfigStore();
    private final CoapServer packages;
    private final LeshanServer server;
    private final LeshanBootstrapServer bootstrap;

    public static void main(String[] arguments) throws Exception {
        var peer = new ServerPeer();
        ExecutorService work = Executors.newCachedThreadPool();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null;) {
            JsonNode command = JSON.readTree(line);
            work.execute(() -> peer.answer(command));
        }
        System.exit(0); // whoever asked is gone
    }

    /** Those that Leshan brings, and object 5 v1.2, which it does not know: v1.1 and resource 14. */
    private static List<ObjectModel> models() {
        List<ObjectModel> known = new ArrayList<>(ObjectLoader.loadAllDefault());
        ObjectModel old = known.stream().filter(one -> one.id == 5 && one.version.equals("1.1")).findFirst().orElseThrow();
        Map<Integer, ResourceModel> resources = new HashMap<>(old.resources);
        resources.put(14, new ResourceModel(14, "Automatic Upgrade at Download", Operations.RW, false, false,
                Type.BOOLEAN, "", "", ""));
        known.add(new ObjectModel(5, old.name, old.description, "1.2", old.multiple, old.mandatory,
                resources.values()));
        return known;
    }

    ServerPeer() throws Exception {
        var endpoints = new CaliforniumServerEndpointsProvider.Builder(new CoapServerProtocolProvider(),
                new CoapsServerProtocolProvider());
        Configuration coap = endpoints.createDefaultConfiguration();
        coap.set(CoapConfig.MAX_RESOURCE_BODY_SIZE, 4 << 20);
        useCiphersOfDevices(coap);
        endpoints.setConfiguration(coap);
        endpoints.addEndpoint(new InetSocketAddress(LOOPBACK, 0), Protocol.COAP);
        endpoints.addEndpoint(new InetSocketAddress(LOOPBACK, 0), Protocol.COAPS);
        var builder = new LeshanServerBuilder();
        builder.setEndpointsProviders(endpoints.build());
        builder.setSecurityStore(keys);
        builder.setObjectModelProvider(new VersionedModelProvider(models()));
        server = builder.build();
        listen();
        server.start();

        var bootstrapEndpoints = new CaliforniumBootstrapServerEndpointsProvider.Builder(
                new CoapBootstrapServerProtocolProvider(), new CoapsBootstrapServerProtocolProvider());
        Configuration bootstrapCoap = bootstrapEndpoints.createDefaultConfiguration();
        useCiphersOfDevices(bootstrapCoap);
        bootstrapEndpoints.setConfiguration(bootstrapCoap);
        bootstrapEndpoints.addEndpoint(new InetSocketAddress(LOOPBACK, 0), Protocol.COAP);
        bootstrapEndpoints.addEndpoint(new InetSocketAddress(LOOPBACK, 0), Protocol.COAPS);
        var bootstrapBuilder = new LeshanBootstrapServerBuilder();
        bootstrapBuilder.setEndpointsProviders(bootstrapEndpoints.build());
        bootstrapBuilder.setConfigStore(accounts);
        bootstrapBuilder.setSecurityStore(new BootstrapSecurityStoreAdapter(keys));
        bootstrap = bootstrapBuilder.build();
        bootstrap.addListener(new BootstrapSessionAdapter() {
            @Override
            public void end(BootstrapSession session) {
                tell("bootstrapped", session.getEndpoint(), Map.of());
            }

            @Override
            public void failed(BootstrapSession session, BootstrapFailureCause cause) {
                tell("bootstrap failed", session.getEndpoint(), Map.of("why", cause.toString()));
            }

            @Override
            public void onResponseError(BootstrapSession session,
                    BootstrapDownlinkRequest<? extends LwM2mResponse> request, LwM2mResponse response) {
                tell("bootstrap refused", session.getEndpoint(),
                        Map.of("request", request.toString(), "code", code(response)));
            }
        });
        bootstrap.start();

        packages = new CoapServer(coap);
        packages.addEndpoint(CoapEndpoint.builder().setConfiguration(coap)
                .setInetSocketAddress(new InetSocketAddress(LOOPBACK, 0)).build());
        packages.start();
        say(new TreeMap<>(Map.of("event", "ready", "coap", server.getEndpoint(Protocol.COAP).getURI().getPort(),
                "coaps", server.getEndpoint(Protocol.COAPS).getURI().getPort(), "bootstrap",
                bootstrap.getEndpoint(Protocol.COAP).getURI().getPort(), "bootstraps",
                bootstrap.getEndpoint(Protocol.COAPS).getURI().getPort(), "packages",
                packages.getEndpoints().get(0).getAddress().getPort())));
    }

    private static void useCiphersOfDevices(Configuration coap) {
        coap.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false);
        coap.set(DtlsConfig.DTLS_CIPHER_SUITES, List.of(CipherSuite.TLS_PSK_WITH_AES_128_CCM_8));
    }

    // ---- commands

    private void answer(JsonNode command) {
        var reply = new TreeMap<String, Object>();
        reply.put("id", command.get("id").asInt());
        try {
            reply.putAll(obey(command));
        } catch (Exception error) {
            reply.put("error", error.toString());
        }
        say(reply);
    }

    private Map<String, Object> obey(JsonNode command) throws Exception {
        String path = text(command, "path");
        switch (text(command, "do")) {
        case "key":
            keys.add(SecurityInfo.newPreSharedKeyInfo(text(command, "endpoint"), text(command, "identity"),
                    HexFormat.of().parseHex(text(command, "key"))));
            return Map.of();
        case "account":
            account(command);
            return Map.of();
        case "serve":
            serve(text(command, "name"), Files.readAllBytes(Path.of(text(command, "file"))));
            return Map.of();
        case "read":
            ReadResponse read = ask(command, new ReadRequest(format(command), path));
            return told(read, read.isSuccess() ? values(new LwM2mPath(path), read.getContent()) : Map.of());
        case "observe":
            ObserveResponse observed = ask(command, new ObserveRequest(format(command), path));
            return told(observed,
                    observed.isSuccess() ? values(new LwM2mPath(path), observed.getContent()) : Map.of());
        case "cancel":
            Registration at = registration(command);
            for (Observation observation : server.getObservationService().getObservations(at)) {
                var single = (SingleObservation) observation;
                if (single.getPath().toString().equals(path))
                    return told(ask(command, new CancelObservationRequest(single)), Map.of());
            }
            throw new IllegalArgumentException("no observation of " + path);
        case "attributes":
            var attributes = new ArrayList<LwM2mAttribute<?>>();
            if (command.has("pmin"))
                attributes.add(LwM2mAttributes.create(LwM2mAttributes.MINIMUM_PERIOD, command.get("pmin").asLong()));
            if (command.has("pmax"))
                attributes.add(LwM2mAttributes.create(LwM2mAttributes.MAXIMUM_PERIOD, command.get("pmax").asLong()));
            return told(ask(command, new WriteAttributesRequest(path, new LwM2mAttributeSet(attributes))), Map.of());
        case "discover":
            DiscoverResponse found = ask(command, new DiscoverRequest(path));
            var links = new TreeMap<String, Object>();
            if (found.isSuccess()) {
                for (Link link : found.getObjectLinks())
                    links.put(link.getUriReference(), link.getAttributes().toString());
            }
            return told(found, links);
        case "write":
            return told(ask(command, write(command, new LwM2mPath(path))), Map.of());
        case "push":
            var target = new LwM2mPath(path);
            byte[] body = Files.readAllBytes(Path.of(text(command, "file")));
            return told(ask(command, new WriteRequest(format(command), target.getObjectId(),
                    target.getObjectInstanceId(), target.getResourceId(), body)), Map.of());
        case "execute":
            return told(ask(command, new ExecuteRequest(path)), Map.of());
        default:
            throw new IllegalArgumentException("unknown command");
        }
    }

    private WriteRequest write(JsonNode command, LwM2mPath path) {
        int object = path.getObjectId(), instance = path.getObjectInstanceId(), resource = path.getResourceId();
        JsonNode value = command.get("value");
        if (value.isBoolean())
            return new WriteRequest(format(command), object, instance, resource, value.asBoolean());
        if (value.isNumber())
            return new WriteRequest(format(command), object, instance, resource, value.asLong());
        return new WriteRequest(format(command), object, instance, resource, value.asText());
    }

    private void account(JsonNode command) throws Exception {
        var config = new BootstrapConfig();
        config.toDelete = List.of("/0", "/1");
        var security = new BootstrapConfig.ServerSecurity();
        security.uri = text(command, "server");
        security.securityMode = SecurityMode.NO_SEC;
        if (command.has("identity")) {
            security.securityMode = SecurityMode.PSK;
            security.publicKeyOrId = text(command, "identity").getBytes();
            security.secretKey = HexFormat.of().parseHex(text(command, "key"));
        }
        security.serverId = 7;
        config.security.put(1, security);
        var account = new BootstrapConfig.ServerConfig();
        account.shortId = 7;
        account.lifetime = command.get("lifetime").asInt();
        account.binding = EnumSet.of(BindingMode.U);
        config.servers.put(0, account);
        accounts.add(text(command, "endpoint"), config);
    }

    private void serve(String name, byte[] body) {
        packages.add(new CoapResource(name) {
            @Override
            public void handleGET(CoapExchange exchange) {
                exchange.respond(CoAP.ResponseCode.CONTENT, body, ContentFormat.OPAQUE_CODE);
            }
        });
    }

    private <T extends LwM2mResponse> T ask(JsonNode command, DownlinkRequest<T> request) throws Exception {
        T response = server.send(registration(command), request, 120_000);
        if (response == null)
            throw new IllegalStateException("no answer to " + request);
        return response;
    }

    private Registration registration(JsonNode command) {
        Registration found = server.getRegistrationService().getByEndpoint(text(command, "endpoint"));
        if (found == null)
            throw new IllegalArgumentException("not registered: " + text(command, "endpoint"));
        return found;
    }

    private static ContentFormat format(JsonNode command) {
        return command.has("format") ? ContentFormat.fromName(text(command, "format")) : null;
    }

    private static String text(JsonNode command, String name) {
        return command.has(name) ? command.get(name).asText() : "";
    }

    // ---- what is told

    private void listen() {
        server.getRegistrationService().addListener(new RegistrationListener() {
            @Override
            public void registered(Registration now, Registration before, Collection<Observation> old) {
                var objects = new TreeMap<String, Object>();
                now.getSupportedObject().forEach((id, version) -> objects.put(id.toString(), version.toString()));
                var formats = new ArrayList<String>();
                for (ContentFormat format : now.getSupportedContentFormats())
                    formats.add(format.getName());
                tell("registered", now.getEndpoint(), Map.of("lwm2m", now.getLwM2mVersion().toString(), "lifetime",
                        now.getLifeTimeInSec(), "objects", objects, "formats", formats, "queue", now.usesQueueMode()));
            }

            @Override
            public void updated(RegistrationUpdate update, Registration now, Registration before) {
                tell("updated", now.getEndpoint(), Map.of("lifetime", now.getLifeTimeInSec()));
            }

            @Override
            public void unregistered(Registration gone, Collection<Observation> old, boolean expired, Registration next) {
                tell("gone", gone.getEndpoint(), Map.of("expired", expired));
            }
        });
        server.getObservationService().addListener(new ObservationListener() {
            @Override
            public void newObservation(Observation observation, Registration at) {
            }

            @Override
            public void cancelled(Observation observation) {
            }

            @Override
            public void onResponse(SingleObservation observation, Registration at, ObserveResponse response) {
                var coap = (Response) response.getCoapResponse(); // Leshan itself does not look at its number
                tell("notified", at.getEndpoint(), Map.of("code", code(response), "number",
                        coap.getOptions().getObserve(), "values",
                        values(observation.getPath(), response.getContent())));
            }

            @Override
            public void onResponse(CompositeObservation observation, Registration at, ObserveCompositeResponse response) {
            }

            @Override
            public void onError(Observation observation, Registration at, Exception error) {
                tell("notification refused", at == null ? "" : at.getEndpoint(), Map.of("why", error.toString()));
            }
        });
        server.getSendService().addListener(new SendListener() {
            @Override
            public void dataReceived(Registration from, TimestampedLwM2mNodes data, SendRequest request) {
                var all = new TreeMap<String, Object>();
                data.getNodes().forEach((path, node) -> all.putAll(values(path, node)));
                tell("sent", from.getEndpoint(), Map.of("values", all));
            }

            @Override
            public void onError(Registration from, String why, Exception error) {
                tell("send refused", from == null ? "" : from.getEndpoint(), Map.of("why", why + ": " + error));
            }
        });
    }

    private static Map<String, Object> told(LwM2mResponse response, Map<String, Object> values) {
        var reply = new TreeMap<String, Object>(Map.of("code", code(response), "values", values));
        if (response.getErrorMessage() != null)
            reply.put("message", response.getErrorMessage());
        return reply;
    }

    private static String code(LwM2mResponse response) {
        int code = response.getCode().getCode();
        return code / 100 + "." + String.format("%02d", code % 100);
    }

    /** Every value at or below a path; bytes in hexadecimal digits, times and links as text. */
    private static Map<String, Object> values(LwM2mPath path, LwM2mNode node) {
        var found = new TreeMap<String, Object>();
        if (node instanceof LwM2mObject) {
            ((LwM2mObject) node).getInstances().forEach((id, child) -> found.putAll(values(path.append(id), child)));
        } else if (node instanceof LwM2mObjectInstance) {
            ((LwM2mObjectInstance) node).getResources()
                    .forEach((id, child) -> found.putAll(values(path.append(id), child)));
        } else if (node instanceof LwM2mResource && ((LwM2mResource) node).isMultiInstances()) {
            ((LwM2mResource) node).getInstances()
                    .forEach((id, child) -> found.put(path.append(id).toString(), plain(child.getValue())));
        } else if (node instanceof LwM2mResource) {
            found.put(path.toString(), plain(((LwM2mResource) node).getValue()));
        }
        return found;
    }

    private static Object plain(Object value) {
        if (value instanceof byte[])
            return HexFormat.of().formatHex((byte[]) value);
        return value instanceof Number || value instanceof Boolean ? value : String.valueOf(value);
    }

    private static void tell(String event, String endpoint, Map<String, Object> details) {
        var all = new TreeMap<String, Object>(details);
        all.put("event", event);
        all.put("endpoint", endpoint);
        say(all);
    }

    private static synchronized void say(Object message) {
        try {
            System.out.println(JSON.writeValueAsString(message));
        } catch (java.io.IOException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
