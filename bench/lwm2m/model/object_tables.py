"""The resources of the OMA objects the bench deals with: number, operations, type, name.

Facts from the OMA LwM2M registry; `[]` marks multiple resources, `-` those that no server but the
bootstrap server touches.
"""

TABLES = {
    0: """
        0  -  str      LWM2M Server URI
        1  -  bool     Bootstrap-Server
        2  -  int      Security Mode
        3  -  bytes    Public Key or Identity
        4  -  bytes    Server Public Key
        5  -  bytes    Secret Key
        6  -  int      SMS Security Mode
        7  -  bytes    SMS Binding Key Parameters
        8  -  bytes    SMS Binding Secret Key(s)
        9  -  str      LwM2M Server SMS Number
        10 -  int      Short Server ID
        11 -  int      Client Hold Off Time
        12 -  int      Bootstrap-Server Account Timeout
        13 -  uint     Matching Type
        14 -  str      SNI
        15 -  uint     Certificate Usage
        16 -  uint[]   DTLS/TLS Ciphersuite
        17 -  objlnk   OSCORE Security Mode
        18 -  uint[]   Groups To Use by Client
        19 -  uint[]   Signature Algorithms Supported by Server
        20 -  uint[]   Signature Algorithms To Use by Client
        21 -  uint[]   Signature Algorithm Certs Supported by Server
        22 -  uint     TLS 1.3 Features To Use by Client
        23 -  uint     TLS Extensions Supported by Server
        24 -  uint     TLS Extensions To Use by Client
        25 -  str[]    Secondary LwM2M Server URI
        26 -  objlnk   MQTT Server
        27 -  objlnk[] LwM2M COSE Security
        28 -  int      RDS Destination Port
        29 -  int      RDS Source Port
        30 -  str      RDS Application ID
    """,
    1: """
        0  R  int      Short Server ID
        1  RW int      Lifetime
        2  RW int      Default Minimum Period
        3  RW int      Default Maximum Period
        4  E  none     Disable
        5  RW int      Disable Timeout
        6  RW bool     Notification Storing When Disabled or Offline
        7  RW str      Binding
        8  E  none     Registration Update Trigger
        9  E  none     Bootstrap-Request Trigger
        10 RW objlnk   APN Link
        11 R  uint     TLS-DTLS Alert Code
        12 R  time     Last Bootstrapped
        13 R  uint     Registration Priority Order
        14 RW uint     Initial Registration Delay Timer
        15 R  bool     Registration Failure Block
        16 R  bool     Bootstrap on Registration Failure
        17 RW uint     Communication Retry Count
        18 RW uint     Communication Retry Timer
        19 RW uint     Communication Sequence Delay Timer
        20 RW uint     Communication Sequence Retry Count
        21 RW bool     Trigger
        22 RW str      Preferred Transport
        23 RW bool     Mute Send
        24 RW objlnk[] Alternate APN Links
        25 RW str[]    Supported Server Versions
        26 RW int      Default Notification Mode
        27 RW uint     Profile ID Hash Algorithm
    """,
    3: """
        0  R  str      Manufacturer
        1  R  str      Model Number
        2  R  str      Serial Number
        3  R  str      Firmware Version
        4  E  none     Reboot
        5  E  none     Factory Reset
        6  R  int[]    Available Power Sources
        7  R  int[]    Power Source Voltage
        8  R  int[]    Power Source Current
        9  R  int      Battery Level
        10 R  int      Memory Free
        11 R  int[]    Error Code
        12 E  none     Reset Error Code
        13 RW time     Current Time
        14 RW str      UTC Offset
        15 RW str      Timezone
        16 R  str      Supported Binding and Modes
        17 R  str      Device Type
        18 R  str      Hardware Version
        19 R  str      Software Version
        20 R  int      Battery Status
        21 R  int      Memory Total
        22 R  objlnk[] ExtDevInfo
    """,
    4: """
        0  R  int      Network Bearer
        1  R  int[]    Available Network Bearer
        2  R  int      Radio Signal Strength
        3  R  int      Link Quality
        4  R  str[]    IP Addresses
        5  R  str[]    Router IP Addresses
        6  R  int      Link Utilization
        7  R  str[]    APN
        8  R  int      Cell ID
        9  R  int      SMNC
        10 R  int      SMCC
        11 R  int      SignalSNR
        12 R  int      LAC
        13 R  int      Coverage Enhancement Level
    """,
    5: """
        0  W  bytes    Package
        1  RW str      Package URI
        2  E  none     Update
        3  R  int      State
        5  R  int      Update Result
        6  R  str      PkgName
        7  R  str      PkgVersion
        8  R  int[]    Firmware Update Protocol Support
        9  R  int      Firmware Update Delivery Method
        10 E  none     Cancel
        11 RW int      Severity
        12 R  time     Last State Change Time
        13 RW uint     Maximum Defer Period
        14 RW bool     Automatic Upgrade at Download
    """,
    6: """
        0  R  float    Latitude
        1  R  float    Longitude
        2  R  float    Altitude
        3  R  float    Radius
        4  R  bytes    Velocity
        5  R  time     Timestamp
        6  R  float    Speed
    """,
    7: """
        0  R  int      SMS Tx Counter
        1  R  int      SMS Rx Counter
        2  R  int      Tx Data
        3  R  int      Rx Data
        4  R  int      Max Message Size
        5  R  int      Average Message Size
        6  E  none     Start
        7  E  none     Stop
        8  RW int      Collection Period
    """,
    9: """
        0  R  str      PkgName
        1  R  str      PkgVersion
        2  W  bytes    Package
        3  W  str      Package URI
        4  E  none     Install
        5  R  objlnk   Checkpoint
        6  E  none     Uninstall
        7  R  int      Update State
        8  RW bool     Update Supported Objects
        9  R  int      Update Result
        10 E  none     Activate
        11 E  none     Deactivate
        12 R  bool     Activation State
        13 RW objlnk   Package Settings
        14 W  str      User Name
        15 W  str      Password
        16 R  str      Status Reason
        17 R  objlnk[] Software Component Link
        18 R  int      Software Component tree length
    """,
    21: """
        0  -  bytes    OSCORE Master Secret
        1  -  bytes    OSCORE Sender ID
        2  -  bytes    OSCORE Recipient ID
        3  -  int      OSCORE AEAD Algorithm
        4  -  int      OSCORE HMAC Algorithm
        5  -  bytes    OSCORE Master Salt
        6  -  bytes    OSCORE ID Context
    """,
    33629: """
        0  W  bytes    Package
        1  RW str      Package URI
        2  E  none     Update
        3  R  int      State
        5  R  int      Update Result
        6  R  str      PkgName
        7  R  str      PkgVersion
        8  R  int[]    Firmware Update Protocol Support
        9  R  int      Firmware Update Delivery Method
        10 E  none     Cancel
        11 RW int      Severity
        12 R  time     Last State Change Time
        13 RW uint     Maximum Defer Period
        14 R  str      Component Name
        15 R  str      Current Version
        16 R  objlnk[] Linked Instances
        17 R  objlnk[] Conflicting Instances
    """,
}
