import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

import org.eclipse.californium.core.CoapClient;
import org.eclipse.californium.core.CoapHandler;
import org.eclipse.californium.core.CoapResponse;
import org.eclipse.californium.core.coap.CoAP;
import org.eclipse.californium.core.coap.Request;
import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.WriteResponse;
import org.eclipse.leshan.core.util.datatype.ULong;

/**
 * Object 5, version 1.0 or 1.1, after its definition by OMA; what must survive a restart is in a file.
 *
 * A package is three lines of text (magic, version, SHA-256 of the rest) and the rest, which may begin with a trait.
 * Leshan hands it over when its last block has come, so a PUSH shows no Downloading.
 */
public class FirmwareUpdate extends BaseInstanceEnabler {
    static final int PACKAGE = 0, URI = 1, UPDATE = 2, STATE = 3, RESULT = 5, NAME = 6, VERSION = 7, PROTOCOLS = 8,
            METHOD = 9, CANCEL = 10, SEVERITY = 11, CHANGED = 12, DEFER = 13;
    static final int IDLE = 0, DOWNLOADING = 1, DOWNLOADED = 2, UPDATING = 3;
    static final int INITIAL = 0, SUCCESS = 1, NO_FLASH = 2, LOST = 4, INTEGRITY = 5, UNSUPPORTED = 6, BAD_URI = 7,
            FAILED = 8, BAD_SCHEME = 9, CANCELLED = 10;
    static final String MAGIC = "leshan-board firmware";

    /** Seconds for a whole download; more than it takes to find out that a server is silent (RFC 7252, 4.8.2). */
    static final int PATIENCE = 100;

    private final Path file, slot;
    private final int limit;
    private final boolean cancels;
    private final Runnable restart;
    private final Properties kept = new Properties();
    private final ScheduledExecutorService later = Executors.newSingleThreadScheduledExecutor();
    private int state, result, severity = 1;
    private ULong deferral = ULong.valueOf(0);
    private Date changed = new Date();
    private String uri = "";
    private Request fetching;

    FirmwareUpdate(Path folder, String baseline, int limit, String objectVersion, Runnable restart)
            throws IOException {
        super(0);
        this.file = folder.resolve("firmware.properties");
        this.slot = folder.resolve("package");
        this.limit = limit;
        this.cancels = !objectVersion.equals("1.0");
        this.restart = restart;
        kept.setProperty("version", baseline);
        if (Files.exists(file)) {
            try (var in = Files.newInputStream(file)) {
                kept.load(in);
            }
        }
        state = Integer.parseInt(kept.getProperty("state", "0"));
        result = Integer.parseInt(kept.getProperty("result", "0"));
        uri = kept.getProperty("uri", "");
        boot();
    }

    /** As a bootloader and the first moments of an application would. */
    private void boot() throws IOException {
        if (state == UPDATING) {
            byte[] image = Files.readAllBytes(slot);
            boolean good = !new String(image, StandardCharsets.ISO_8859_1).contains("\ntrait: self-test fails\n");
            if (good)
                kept.setProperty("version", lines(image)[1]);
            become(IDLE, good ? SUCCESS : FAILED);
        } else if (state == DOWNLOADING) {
            become(IDLE, LOST);
        }
    }

    String runningVersion() {
        return kept.getProperty("version");
    }

    // ---- what the server asks

    @Override
    public synchronized ReadResponse read(LwM2mServer server, int resource) {
        switch (resource) {
        case URI:
            return ReadResponse.success(resource, uri);
        case STATE:
            return ReadResponse.success(resource, state);
        case RESULT:
            return ReadResponse.success(resource, result);
        case NAME:
            return ReadResponse.success(resource, "leshan-board");
        case VERSION:
            return ReadResponse.success(resource, state == DOWNLOADED ? kept.getProperty("next", "") : "");
        case PROTOCOLS:
            return ReadResponse.success(resource, Map.of(0, 0L), Type.INTEGER);
        case METHOD:
            return ReadResponse.success(resource, 2);
        case SEVERITY:
            return ReadResponse.success(resource, severity);
        case CHANGED:
            return ReadResponse.success(resource, changed);
        case DEFER:
            return ReadResponse.success(resource, deferral);
        default:
            return ReadResponse.methodNotAllowed();
        }
    }

    @Override
    public synchronized WriteResponse write(LwM2mServer server, boolean replace, int resource, LwM2mResource value) {
        switch (resource) {
        case PACKAGE:
            return takePackage((byte[]) value.getValue());
        case URI:
            return takeUri((String) value.getValue());
        case SEVERITY:
            long wanted = (Long) value.getValue();
            if (wanted < 0 || wanted > 2)
                return WriteResponse.badRequest("severity is 0 to 2");
            severity = (int) wanted;
            return WriteResponse.success();
        case DEFER:
            deferral = (ULong) value.getValue();
            return WriteResponse.success();
        default:
            return WriteResponse.methodNotAllowed();
        }
    }

    @Override
    public synchronized ExecuteResponse execute(LwM2mServer server, int resource, Arguments arguments) {
        if (resource == UPDATE && state == DOWNLOADED) {
            become(UPDATING, INITIAL);
            restart.run();
            return ExecuteResponse.success();
        }
        if (resource == CANCEL && cancels && (state == DOWNLOADING || state == DOWNLOADED)) {
            become(IDLE, CANCELLED);
            return ExecuteResponse.success();
        }
        return ExecuteResponse.methodNotAllowed();
    }

    @Override
    public List<Integer> getAvailableResourceIds(ObjectModel model) {
        var has = new ArrayList<>(List.of(PACKAGE, URI, UPDATE, STATE, RESULT, NAME, VERSION, PROTOCOLS, METHOD));
        if (cancels)
            has.addAll(List.of(CANCEL, SEVERITY, CHANGED, DEFER));
        return has;
    }

    // ---- delivery

    private WriteResponse takePackage(byte[] image) {
        if (state == UPDATING)
            return WriteResponse.methodNotAllowed();
        if (image.length == 0 || Arrays.equals(image, new byte[] { 0 })) {
            become(IDLE, INITIAL);
            return WriteResponse.success();
        }
        if (state != IDLE)
            return WriteResponse.methodNotAllowed();
        store(image);
        return WriteResponse.success();
    }

    private WriteResponse takeUri(String given) {
        if (state == UPDATING)
            return WriteResponse.methodNotAllowed();
        if (given.isEmpty()) {
            become(IDLE, INITIAL);
            return WriteResponse.success();
        }
        if (state != IDLE)
            return WriteResponse.methodNotAllowed();
        URI parsed;
        try {
            parsed = java.net.URI.create(given);
        } catch (IllegalArgumentException malformed) {
            become(IDLE, BAD_URI);
            return WriteResponse.success();
        }
        if (parsed.getScheme() == null || parsed.getHost() == null || parsed.getPort() > 65535) {
            become(IDLE, BAD_URI);
        } else if (!parsed.getScheme().equals("coap")) {
            become(IDLE, BAD_SCHEME);
        } else {
            Request request = new Request(CoAP.Code.GET);
            try {
                request.setURI(given);
            } catch (IllegalArgumentException noCoapUri) { // it has a fragment, say (RFC 7252, 6.4)
                become(IDLE, BAD_URI);
                return WriteResponse.success();
            }
            uri = given;
            become(DOWNLOADING, INITIAL);
            fetch(request);
        }
        return WriteResponse.success();
    }

    private void fetch(Request request) {
        fetching = request;
        // for what a server acknowledges and never answers Californium waits without end
        later.schedule(() -> fetched(request, null, LOST), PATIENCE, TimeUnit.SECONDS);
        new CoapClient().advanced(new CoapHandler() {
            @Override
            public void onLoad(CoapResponse response) {
                boolean serversFault = response.getCode().isServerError();
                fetched(request, response.isSuccess() ? response.getPayload() : null, serversFault ? LOST : BAD_URI);
            }

            @Override
            public void onError() {
                fetched(request, null, LOST);
            }
        }, request);
    }

    private synchronized void fetched(Request request, byte[] image, int otherwise) {
        if (request != fetching)
            return; // was reset or cancelled meanwhile
        fetching = null;
        if (image == null)
            become(IDLE, otherwise);
        else
            store(image);
    }

    private void store(byte[] image) {
        String[] head = lines(image);
        if (image.length > limit) {
            become(IDLE, NO_FLASH);
        } else if (!head[0].equals(MAGIC)) {
            become(IDLE, UNSUPPORTED); // another board's, or no firmware
        } else if (!head[2].equals(sha256(image, head))) {
            become(IDLE, INTEGRITY);
        } else {
            try {
                replace(slot, image);
            } catch (IOException full) {
                become(IDLE, NO_FLASH);
                return;
            }
            kept.setProperty("next", head[1]);
            become(DOWNLOADED, INITIAL);
        }
    }

    private static String[] lines(byte[] image) {
        String text = new String(image, 0, Math.min(image.length, 256), StandardCharsets.ISO_8859_1);
        return Arrays.copyOf((text + "\n\n\n").split("\n", -1), 3);
    }

    private static String sha256(byte[] image, String[] head) {
        int start = head[0].length() + head[1].length() + head[2].length() + 3;
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update((head[1] + "\n").getBytes(StandardCharsets.ISO_8859_1));
            digest.update(image, Math.min(start, image.length), Math.max(0, image.length - start));
            return HexFormat.of().formatHex(digest.digest());
        } catch (java.security.NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    // ---- state

    private void become(int newState, int newResult) {
        if (newState == IDLE) {
            uri = "";
            kept.remove("next");
            if (fetching != null) {
                Request stopped = fetching;
                fetching = null;
                stopped.cancel();
            }
        }
        if (newState != state)
            changed = new Date();
        state = newState;
        result = newResult;
        kept.setProperty("state", Integer.toString(state));
        kept.setProperty("result", Integer.toString(result));
        kept.setProperty("uri", uri);
        try {
            var text = new java.io.ByteArrayOutputStream();
            kept.store(text, null);
            replace(file, text.toByteArray());
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
        System.out.println("state " + state + " result " + result);
        if (getModel() != null) // not under our lock: who is told reads, under locks of Leshan's
            later.execute(() -> fireResourcesChange(getResourcePaths(URI, STATE, RESULT)));
    }

    private static void replace(Path target, byte[] content) throws IOException {
        Path fresh = target.resolveSibling(target.getFileName() + ".new");
        Files.write(fresh, content);
        Files.move(fresh, target, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    }
}
