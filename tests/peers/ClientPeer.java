import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertificateFactory;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.californium.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.client.californium.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.client.californium.endpoint.coaps.CoapsClientProtocolProvider;
import org.eclipse.leshan.client.engine.DefaultRegistrationEngineFactory;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.observer.LwM2mClientObserverAdapter;
import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.resource.LwM2mInstanceEnablerFactory;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.send.ManualDataSender;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.model.LwM2mModelRepository;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.WriteResponse;

/**
 * Leshan's client with objects 1, 3 and 5, as a process board or a peer of the server's tests.
 *
 * Options are --NAME VALUE. Lines on its input: "send FORMAT PATH...". It ends with status 64 when it wants to be
 * started again.
 */
public class ClientPeer {
    static final int RESTART = 64;

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < arguments.length; i += 2)
            options.put(arguments[i].substring(2), arguments[i + 1]);
        String server = options.get("server"), version = options.getOrDefault("object", "1.1");
        Path state = Path.of(options.get("state"));

        var firmware = new FirmwareUpdate(state, options.getOrDefault("baseline", "1.0.0"),
                Integer.parseInt(options.getOrDefault("limit", "1048576")), version, ClientPeer::restartSoon);
        System.out.println("leshan client, firmware " + firmware.runningVersion());

        List<ObjectModel> models = ObjectLoader.loadAllDefault().stream()
                .filter(m -> m.id != 5 || m.version.equals(version)).collect(Collectors.toList());
        // of the other objects, those of LwM2M 1.1
        var objects = new ObjectsInitializer(new LwM2mModelRepository(models).getLwM2mModel());
        if (options.getOrDefault("bootstrap", "no").equals("yes")) { // --server is a bootstrap server
            objects.setInstancesForObject(0, bootstrapSecurity(server, options));
            objects.setClassForObject(1, Server.class);
        } else {
            objects.setInstancesForObject(0, security(server, options));
            objects.setInstancesForObject(1, new Server(1, Long.parseLong(options.get("lifetime"))));
        }
        objects.setInstancesForObject(3, new ThisDevice(firmware));
        objects.setInstancesForObject(5, firmware);
        LwM2mInstanceEnablerFactory none = (model, id, used) -> {
            throw new UnsupportedOperationException("single instances, which nobody creates");
        };
        objects.setFactoryForObject(3, none);
        objects.setFactoryForObject(5, none);

        var endpoints = new CaliforniumClientEndpointsProvider.Builder(new CoapClientProtocolProvider(),
                new CoapsClientProtocolProvider());
        Configuration coap = endpoints.createDefaultConfiguration();
        coap.set(CoapConfig.MAX_RESOURCE_BODY_SIZE, 4 << 20); // packages, and too large ones
        endpoints.setConfiguration(coap);
        Configuration.setStandard(coap); // of the client that fetches packages

        var engine = new DefaultRegistrationEngineFactory();
        engine.setQueueMode(options.getOrDefault("queue", "no").equals("yes"));
        engine.setRetryWaitingTimeInMs(2000);
        var builder = new LeshanClientBuilder(options.get("endpoint"));
        builder.setObjects(objects.createAll());
        builder.setEndpointsProviders(endpoints.build());
        builder.setDataSenders(new ManualDataSender());
        builder.setRegistrationEngineFactory(engine);
        LeshanClient client = builder.build();
        client.addObserver(new LwM2mClientObserverAdapter() {
            @Override
            public void onRegistrationSuccess(LwM2mServer at, RegisterRequest request, String location) {
                System.out.println("registered");
            }
        });
        client.start();
        obey(client);
    }

    private static Security security(String server, Map<String, String> options) throws Exception {
        String identity = options.getOrDefault("psk-identity", "");
        if (!identity.isEmpty())
            return Security.psk(server, 1, identity.getBytes(), HexFormat.of().parseHex(options.get("psk-key")));
        if (!options.containsKey("certificates"))
            return Security.noSec(server, 1);
        Path folder = Path.of(options.get("certificates"));
        String own = options.get("endpoint");
        return Security.x509(server, 1, certificate(folder.resolve(own + ".pem")), pem(folder.resolve(own + ".key")),
                certificate(folder.resolve("server.pem")));
    }

    private static Security bootstrapSecurity(String server, Map<String, String> options) {
        String identity = options.getOrDefault("psk-identity", "");
        if (identity.isEmpty())
            return Security.noSecBootstrap(server);
        return Security.pskBootstrap(server, identity.getBytes(), HexFormat.of().parseHex(options.get("psk-key")));
    }

    private static byte[] certificate(Path file) throws Exception {
        return CertificateFactory.getInstance("X.509").generateCertificate(Files.newInputStream(file)).getEncoded();
    }

    private static byte[] pem(Path file) throws Exception {
        return Base64.getMimeDecoder().decode(Files.readString(file).replaceAll("-----[^-]+-----", ""));
    }

    /** After the answer to who asked for it. */
    static void restartSoon() {
        new Thread(() -> {
            try {
                Thread.sleep(500);
            } catch (InterruptedException ended) {
                return;
            }
            Runtime.getRuntime().halt(RESTART);
        }).start();
    }

    private static void obey(LeshanClient client) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null;) {
            String[] words = line.trim().split(" ");
            if (words[0].equals("send")) {
                while (client.getRegisteredServers().isEmpty()) // the server may know it before the client does
                    Thread.sleep(50);
                List<String> paths = Arrays.asList(words).subList(2, words.length);
                for (LwM2mServer server : client.getRegisteredServers().values())
                    client.getSendService().sendData(server, ContentFormat.fromName(words[1]), paths, 5000);
                System.out.println("sent");
            }
        }
    }

    /** Object 3, as much as an update rests on. */
    static class ThisDevice extends BaseInstanceEnabler {
        private final FirmwareUpdate firmware;
        private String timezone = "Europe/Berlin";

        ThisDevice(FirmwareUpdate firmware) {
            super(0);
            this.firmware = firmware;
        }

        @Override
        public ReadResponse read(LwM2mServer server, int resource) {
            switch (resource) {
            case 0:
                return ReadResponse.success(resource, "Leshan");
            case 1:
                return ReadResponse.success(resource, "client peer");
            case 2:
                return ReadResponse.success(resource, "LP-0001");
            case 3:
                return ReadResponse.success(resource, firmware.runningVersion());
            case 11:
                return ReadResponse.success(resource, Map.of(0, 0L), Type.INTEGER);
            case 13:
                return ReadResponse.success(resource, new java.util.Date());
            case 15:
                return ReadResponse.success(resource, timezone);
            case 16:
                return ReadResponse.success(resource, "U");
            default:
                return ReadResponse.notFound();
            }
        }

        @Override
        public WriteResponse write(LwM2mServer server, boolean replace, int resource, LwM2mResource value) {
            if (resource != 15)
                return WriteResponse.methodNotAllowed();
            timezone = (String) value.getValue();
            fireResourceChange(15);
            return WriteResponse.success();
        }

        @Override
        public ExecuteResponse execute(LwM2mServer server, int resource, Arguments arguments) {
            if (resource != 4)
                return ExecuteResponse.methodNotAllowed();
            restartSoon();
            return ExecuteResponse.success();
        }

        @Override
        public List<Integer> getAvailableResourceIds(ObjectModel model) {
            return List.of(0, 1, 2, 3, 4, 11, 13, 15, 16);
        }
    }
}
